"""The project as a whole: its layout, its settings, its files."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample_catalog"
CUSTOMERS = ["manage.py", "pyproject.toml", "retrieval_site", "catalog", "search", "templates", "tests"]
BESIDE = ["README.md", "README.zh-CN.md", "Makefile", ".ci/run", "Dockerfile", "compose.yaml", ".env.example"]
# What only Dockerfile and compose.yaml read.
CONTAINER_ONLY = {"POSTGRES_PASSWORD", "PUBLISH", "WEB_WORKERS", "WEB_THREADS"}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def read_csv(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [*CUSTOMERS, *BESIDE])
def test_the_top_level_is_as_agreed(name: str) -> None:
    assert (ROOT / name).exists()


def test_the_agreed_packages_are_named() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [need for extra in project["optional-dependencies"].values() for need in extra]
    named = {re.split(r"[\[<>=;~! ]", need)[0].lower() for need in project["dependencies"] + extras}
    assert {"django", "djangorestframework", "celery", "redis", "psycopg2-binary", "torch", "torchvision"} <= named
    assert {"faiss-cpu", "pillow", "pydicom"} <= named
    assert not {"torch", "torchvision"} & {re.split(r"[\[<>=;]", need)[0] for need in project["dependencies"]}


def test_env_example_has_every_setting() -> None:
    read = set(re.findall(r'env_[a-z]+\(\s*"([A-Z0-9_]+)"', (ROOT / "retrieval_site/settings.py").read_text()))
    written = re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M)
    assert len(read) > 20
    assert set(written) == read | CONTAINER_ONLY
    assert len(written) == len(set(written))


def test_env_example_states_the_defaults(tmp_path: Path) -> None:
    """With the example as it is, the site is set as without it."""
    lines = re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M)
    code = (
        "import os; [os.environ.pop(name, None) for name in {drop!r}]\n"
        "os.environ.update({extra!r})\n"
        "from retrieval_site import settings as s\n"
        "print(sorted((k, repr(v)) for k, v in vars(s).items() if k.isupper() and k != 'LANGUAGES'))"
    )
    drop = [name for name, _ in lines]
    place = {"DATA_DIR": str(tmp_path), "SECRET_KEY": "k"}
    example = {**dict(lines), **place}
    assert python(code.format(drop=drop, extra=example)) == python(code.format(drop=drop, extra=place))


def test_compose_is_whole() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"db", "redis", "migrate", "web", "worker-gpu", "worker-cpu", "beat"}
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.M))
    queues = set()
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services)
        assert service.get("healthcheck") or name == "web"  # the web's own is in the Dockerfile
        assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= set(compose["volumes"])
        if "build" in service:
            assert service["build"]["target"] in stages
            assert service["environment"]["DATABASE_URL"].endswith("@db:5432/lookalike")
        command = " ".join(service.get("command", ()))
        if found := re.search(r"-Q (\S+)", command):
            queues |= set(found[1].split(","))
            assert "--pool=solo" in command
    assert queues == {"gpu", "cpu", "default"}
    gpu = yaml.safe_load((ROOT / "compose.gpu.yaml").read_text())["services"]
    assert set(gpu) <= set(services)
    assert gpu["worker-gpu"]["build"]["target"] in stages


def test_containers_do_not_run_as_root() -> None:
    for stage in re.split(r"(?m)^FROM ", (ROOT / "Dockerfile").read_text())[1:]:
        if re.match(r"site AS (cpu|gpu)\b", stage):
            assert re.search(r"(?m)^USER (?!root)\w+\s*\Z", stage)


def test_no_path_of_a_machine_and_no_host_of_a_registry() -> None:
    """Nothing in the repository tells where it was written."""
    foreign = re.compile(
        r"(?<![\w.*])/(?:work|root|home/\w+)/|/opt/[a-z]+/|pypi\.org/|pythonhosted|npmjs\.org|index-url"
    )
    for path in tracked():
        if path.suffix in {".jpg", ".png", ".webp", ".onnx", ".npz", ".mo"} or path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            assert not foreign.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"


def test_constraints_are_versions_only() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+", line), line


def test_no_large_file_is_tracked() -> None:
    assert [path for path in tracked() if path.stat().st_size > 8 * 1024**2] == []


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_web_process_never_loads_torch(tmp_path: Path) -> None:
    code = (
        "import sys, django\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "get_wsgi_application()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "import search.services, search.tasks\n"
        "print('torch' in sys.modules, 'torchvision' in sys.modules)"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "retrieval_site.settings", "DATA_DIR": str(tmp_path)}
    assert python(code, **environment).split() == ["False", "False"]


# --- the sample catalog -----------------------------------------------------------------------------


def test_the_sample_catalog_is_small() -> None:
    assert 0 < sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 8 * 1024**2


def test_every_sample_product_has_its_pictures() -> None:
    products = read_csv("products.csv")
    assert len({product["sku"] for product in products}) == len(products) >= 55
    named = [picture for product in products for picture in product["images"].split(";")]
    assert sorted(named) == sorted(path.name for path in (SAMPLE / "database").iterdir())
    queries = [path.name for path in (SAMPLE / "query").iterdir()]
    for product in products:
        sku = product["sku"].lower()
        mine = [name for name in (*named, *queries) if re.fullmatch(rf"{sku}-q?\d\.jpg", name)]
        assert 4 <= len(mine) <= 6
        assert any("-q" in name for name in mine)


def test_every_sample_picture_opens() -> None:
    for path in SAMPLE.rglob("*.jpg"):
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (384, 384))


def test_the_sample_ground_truth_fits() -> None:
    database = {path.name for path in (SAMPLE / "database").iterdir()}
    truth = read_csv("ground_truth.csv")
    assert {row["query"] for row in truth} == {path.name for path in (SAMPLE / "query").iterdir()}
    assert {row["image"] for row in truth} <= database
    assert {row["grade"] for row in truth} == {"easy", "hard", "distractor"}
    for row in truth:
        same = row["query"].rsplit("-", 1)[0] == row["image"].rsplit("-", 1)[0]
        assert same == (row["grade"] in {"easy", "hard"})
    assert len({(row["query"], row["image"]) for row in truth}) == len(truth)
