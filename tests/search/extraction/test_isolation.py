"""A process that serves pages never imports torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from retrieval_site.wsgi import application
from django.core.management import call_command
call_command("migrate", verbosity=0)
from catalog.models import Collection
from catalog.services import image_add
from search.embedding import embed_pending, feature_model_default
from search.services import search_by_picture
from tests.factories import picture
collection = Collection.objects.create(name="c", slug="c", is_public=True)
first, _ = image_add(collection, picture(1))
image_add(collection, picture(2))
assert embed_pending(collection, feature_model_default()) == 2
hits = search_by_picture(collection, picture(1)).hits
assert hits[0].image == first and hits[0].score > 0.99, hits
from django.test import Client
assert Client().get("/admin/login/").status_code == 200
print("torch" in sys.modules, "torchvision" in sys.modules)
"""


def test_serving_and_searching_import_no_torch(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env |= {"DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "retrieval_site.settings", "ALLOWED_HOSTS": "*"}
    for name, folder in {"MEDIA_ROOT": "media", "INDEX_ROOT": "indexes", "WEIGHTS_ROOT": "weights"}.items():
        env[name] = str(tmp_path / folder)
    child = subprocess.run(
        [sys.executable, "-c", CODE], env=env, cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.split() == ["False", "False"]
