"""add_feature_model and embed, as they are typed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from search import embedding_run
from search.checks import extraction_settings
from search.models import Embedding, FeatureModel
from tests import factories

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_a_model_is_added_opened_and_described(network: Callable[..., Path]) -> None:
    path = network()
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    said = run(
        "add_feature_model", "small", "--backbone=onnx", f"--weights={path}", f"--sha256={sha256}",
        "--pooling=gem", "--gem-p=4", '--preprocessing={"fit": "squash"}',
    )  # fmt: skip
    model = FeatureModel.objects.get()
    assert said == f"small: 8 dimensions, fingerprint {model.fingerprint}\n"
    assert (model.dim, model.pooling, model.gem_p) == (8, "gem", 4.0)
    assert model.preprocessing == {"fit": "squash"}
    assert not model.is_default


def test_power_scales_and_flip_are_kept(network: Callable[..., Path]) -> None:
    arguments = ("--backbone=onnx", f"--weights={network()}", "--pooling=rmac", "--power=0.5", "--scales=1,0.7071")
    first = run("add_feature_model", "small", *arguments, "--flip")
    model = FeatureModel.objects.get()
    assert (model.pooling, model.power, model.scales, model.flip) == ("rmac", 0.5, [1, 0.7071], True)
    assert run("add_feature_model", "small", *arguments, "--flip") == first
    with pytest.raises(CommandError, match="already"):
        run("add_feature_model", "small", *arguments)


def test_a_path_seen_from_here_is_kept_whole(network: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = network()
    monkeypatch.chdir(path.parent)
    run("add_feature_model", "small", "--backbone=onnx", "--weights=small.onnx")
    assert FeatureModel.objects.get().weights == str(path)


def test_the_default_moves() -> None:
    run("add_feature_model", "a", "--backbone=color_gradient", "--default")
    run("add_feature_model", "b", "--backbone=color_gradient", "--default")
    assert list(FeatureModel.objects.filter(is_default=True).values_list("name", flat=True)) == ["b"]


def test_again_it_is_the_same_and_another_under_its_name_is_refused() -> None:
    first = run("add_feature_model", "a", "--backbone=color_gradient")
    assert run("add_feature_model", "a", "--backbone=color_gradient") == first
    with pytest.raises(CommandError, match="already"):
        run("add_feature_model", "a", "--backbone=color_gradient", "--pooling=max")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--backbone=nothing"], "nothing"),
        (["--backbone=onnx"], "weights"),
        (["--backbone=onnx", "--weights=http://127.0.0.1/x.onnx"], "SHA-256"),
        (["--backbone=color_gradient", "--preprocessing=[1]"], "preprocessing"),
        (["--backbone=color_gradient", "--preprocessing={"], "preprocessing"),
        (["--backbone=color_gradient", "--power=2"], "power"),
        (["--backbone=color_gradient", "--scales=1,0.1"], r"0\.1"),
        (["--backbone=color_gradient", "--scales=1;2"], "scales"),
    ],
)
def test_what_does_not_open_leaves_no_row(arguments: list[str], named: str) -> None:
    with pytest.raises(CommandError, match=named):
        run("add_feature_model", "bad", *arguments)
    assert not FeatureModel.objects.exists()


def test_embed_says_what_it_did_and_what_it_could_not() -> None:
    collection = factories.CollectionFactory(slug="lamps")
    good = factories.ImageFactory(product=None, collection=collection)
    bad = factories.ImageFactory(product=None, collection=collection)
    bad.file.storage.delete(bad.file.name)
    said = run("embed", "--collection=lamps")
    assert "lamps: 2 pictures embedded with color_gradient." in said
    assert "1 pictures could not be embedded" in said
    assert Embedding.objects.filter(image=good, error="").exists()


def test_embed_finds_a_collection_by_name_and_a_model_by_name() -> None:
    collection = factories.CollectionFactory(name="Old lamps")
    factories.ImageFactory(product=None, collection=collection)
    factories.FeatureModelFactory(name="other")
    run("embed", "--collection=Old lamps", "--feature-model=other", "--limit=5")
    assert Embedding.objects.get().feature_model.name == "other"


@pytest.mark.parametrize("arguments", [["--collection=none"], ["--collection=lamps", "--feature-model=none"]])
def test_embed_names_what_there_is(arguments: list[str]) -> None:
    factories.CollectionFactory(slug="lamps")
    factories.FeatureModelFactory(name="small")
    with pytest.raises(CommandError, match=r"There are: (lamps|small)\."):
        run("embed", *arguments)


def test_ctrl_c_keeps_what_is_done_and_the_next_run_goes_on(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.EXTRACTION_BATCH = 2
    collection = factories.CollectionFactory(slug="lamps")
    for _ in range(5):
        factories.ImageFactory(product=None, collection=collection)
    real, stored = embedding_run.EmbeddingRun._store, []

    def interrupted(self: Any, batch: Any) -> None:
        if stored:
            raise KeyboardInterrupt
        stored.append(real(self, batch))

    monkeypatch.setattr(embedding_run.EmbeddingRun, "_store", interrupted)
    with pytest.raises(CommandError, match="Run it again") as stopped:
        run("embed", "--collection=lamps")
    assert stopped.value.returncode == 130
    assert Embedding.objects.count() == 2
    monkeypatch.undo()
    assert "3 pictures embedded" in run("embed", "--collection=lamps")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("EXTRACTION_RUNTIME", "abacus", "search.E001"),
        ("EXTRACTION_DEVICE", "gpu7", "search.E003"),
        ("EXTRACTION_BATCH", 0, "search.E004"),
    ],
)
def test_checks_refuse_settings_that_would_fail_at_the_first_picture(
    settings: Any, name: str, value: object, code: str
) -> None:
    assert extraction_settings(None) == []
    setattr(settings, name, value)
    assert [message.id for message in extraction_settings(None)] == [code]
