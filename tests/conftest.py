"""What every test gets: its own folders, fixed seeds, no broker, and a word on what is missing here."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import factory.random
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests import factories

CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}
SHARED = Path(os.environ.get("LOOKALIKE_SHARED") or Path(__file__).resolve().parents[2] / "shared")

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # root's Chromium has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

hypothesis_settings.register_profile(
    "lookalike", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("lookalike")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-only", action="store_true", help="run only the tests that touch the database")


def pytest_configure(config: pytest.Config) -> None:
    """No test reaches a broker by accident: what it sends stays in this process's memory."""
    from retrieval_site.celery import app

    config.addinivalue_line("filterwarnings", "ignore:No directory at:UserWarning")  # no STATIC_ROOT: it is meant
    app.conf.update(broker_url="memory://", broker_transport_options={}, task_always_eager=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--database-only"):
        return
    touching = [item for item in items if item.get_closest_marker("django_db") or "db" in _fixtures(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(touching)])
    items[:] = touching


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def missing(what: str) -> None:
    """Skip with a printed reason; in CI a missing piece is a failure."""
    if CI:
        pytest.fail(f"{what} (CI must have it)", pytrace=False)
    pytest.skip(what)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("torch") and not all(importlib.util.find_spec(n) for n in ("torch", "torchvision")):
        missing("torch and torchvision are not installed: pip install -e '.[torch]'")
    if item.get_closest_marker("milvus") and not all(importlib.util.find_spec(n) for n in ("pymilvus", "milvus_lite")):
        missing("pymilvus and milvus-lite are not installed: pip install -e '.[dev]'")
    if item.get_closest_marker("browser") and not chromium():
        missing("no Chromium here: apt-get install chromium")
    if item.get_closest_marker("gpu") and not _cuda():
        pytest.skip("no CUDA device here")
    if item.get_closest_marker("postgres") and "postgres" not in os.environ.get("DATABASE_URL", ""):
        pytest.skip("runs in the Postgres pass of `make test`")


def chromium() -> str | None:
    """Path of Debian's Chromium, or of any other one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _cuda() -> bool:
    if not importlib.util.find_spec("torch"):
        return False
    import torch

    return bool(torch.cuda.is_available())


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, settings: Any) -> None:
    """Pictures, indexes and weights of a test are its own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.INDEX_ROOT = tmp_path / "indexes"
    settings.WEIGHTS_ROOT = tmp_path / "weights"
    settings.TRAINING_ROOT = tmp_path / "training"


@pytest.fixture(autouse=True)
def seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    factory.random.reseed_random(0)


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    from django.conf import settings
    from django.core.cache import caches

    yield
    for alias in settings.CACHES:
        caches[alias].clear()


@pytest.fixture
def celery_eager() -> Iterator[None]:
    """Tasks run where they are sent, and their errors are the test's."""
    from retrieval_site.celery import app

    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    yield
    app.conf.update(task_always_eager=False, task_eager_propagates=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium under Playwright's synchronous interface; one at a time, ended with its module."""
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread; Django would refuse the database because of it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def milvus_uri() -> Iterator[str]:
    """A real Milvus server, started once."""
    from tests.services import servers

    try:
        with servers.milvus() as uri:
            yield uri
    except servers.ServerMissing as reason:
        missing(str(reason))


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """``picture(seed=0, size=(96, 72), format="JPEG", **save)``: bytes of a drawn picture."""
    return factories.picture


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and networks."""
    if not SHARED.is_dir():
        missing(f"no shared pictures at {SHARED}: set LOOKALIKE_SHARED")
    return SHARED
