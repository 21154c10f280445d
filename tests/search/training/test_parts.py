"""The parts of a training: what is drawn, what is kept, what is measured, and what cannot be trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.images import BrokenPicture
from search.extraction import pooling as numpy_pooling
from search.extraction.backbones.onnx import NAME as ONNX
from search.extraction.spec import ExtractorSpec, Pooling
from search.training.errors import (
    BadTrainingOptions,
    CheckpointBroken,
    CheckpointDiffers,
    NotTrainable,
    TorchMissing,
)
from search.training.options import LOSSES, FinetuneOptions
from search.training.pictures import Pictures
from search.training.samples import Samples
from search.training.trainable import check_trainable, require_torch
from tests.search.training import toy

SIDE = 24


# --- Options


def test_options_survive_json_and_refuse_nonsense() -> None:
    options = FinetuneOptions(loss="arcface", rate=1e-4, margin=20.0)
    assert FinetuneOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    for given, option in (
        ({"loss": "l2"}, "loss"),
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"rate": float("nan")}, "rate"),
        ({"freeze_norm": 1}, "freeze_norm"),
        ({"hold_out": 0.9}, "hold_out"),
        ({"side": 8}, "side"),
        ({"colour": 1}, "colour"),
    ):
        with pytest.raises(BadTrainingOptions) as refused:
            FinetuneOptions.from_dict(given)
        assert refused.value.params["option"] == option


def test_steps_follow_from_epochs() -> None:
    options = FinetuneOptions(epochs=3, classes=4, per_class=4)
    assert options.steps_of(100) == (21, 7)
    assert FinetuneOptions(steps=5, classes=4, per_class=4).steps_of(100) == (5, 7)


# --- Pictures


def test_pictures_are_decoded_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def load(place: int) -> Any:
        calls.append(place)
        if place == 3:
            raise BrokenPicture
        return np.full((SIDE, SIDE, 3), place, np.uint8)

    pictures = Pictures(tmp_path / "p.u8", 70, SIDE, load)
    assert pictures.fill(lambda *_: None) == [3]
    assert sorted(calls) == list(range(70))
    again = Pictures(tmp_path / "p.u8", 70, SIDE, load)
    assert again.fill(lambda *_: None) == [3]
    assert (again[69] == 69).all()
    assert len(calls) == 70
    again.close()
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_is_decoded_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def load(place: int) -> Any:
        calls.append(place)
        return np.full((SIDE, SIDE, 3), place, np.uint8)

    pictures = Pictures(tmp_path / "p.u8", 10, SIDE, load, max_bytes=4 * 3 * SIDE * SIDE)
    pictures.fill(lambda *_: None)
    assert (tmp_path / "p.u8").stat().st_size == 4 * 3 * SIDE * SIDE
    calls.clear()
    assert [int(pictures[place][0, 0, 0]) for place in range(10)] == list(range(10))
    assert calls == [4, 5, 6, 7, 8, 9]


def test_a_file_that_was_not_filled_to_the_end_is_filled_anew(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "p.u8", 200, SIDE, lambda place: toy.draw(0, place, SIDE))

    def die(done: int, total: int) -> None:
        if done >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pictures.fill(die)
    again = Pictures(tmp_path / "p.u8", 200, SIDE, lambda place: toy.draw(0, place, SIDE))
    again.fill(lambda *_: None)
    np.testing.assert_array_equal(again[199], toy.draw(0, 199, SIDE))


# --- Augmentation


@pytest.mark.torch
def test_a_draw_decides_what_becomes_of_a_picture() -> None:
    from search.training.augment import apply, draw, generator

    pixels = toy.draw(1, 5, SIDE)
    one, other = (apply(pixels, draw(generator(0, 7, 3), SIDE, 16, 0.8), 16) for _ in range(2))
    assert one.shape == (3, 16, 16)
    assert (one == other).all()
    assert (one != apply(pixels, draw(generator(0, 7, 4), SIDE, 16, 0.8), 16)).any()
    whole = apply(pixels, draw(generator(0, 7, 3), SIDE, SIDE, 0.0), SIDE)
    np.testing.assert_array_equal(whole.permute(1, 2, 0).numpy(), pixels)  # strength 0 changes nothing


@pytest.mark.torch
def test_strength_is_how_much_changes() -> None:
    from search.training.augment import draw, generator

    def areas(strength: float) -> list[float]:
        draws = [draw(generator(0, step, 0), 100, 64, strength) for step in range(200)]
        return [one.crop[2] * one.crop[3] / 10_000 for one in draws]

    assert np.mean(areas(1.0)) < np.mean(areas(0.5)) < np.mean(areas(0.1))
    draws = [draw(generator(1, step, 0), 100, 64, 0.5) for step in range(400)]
    assert 0.4 < np.mean([one.mirrored for one in draws]) < 0.6
    assert 0.15 < np.mean([one.erased is not None for one in draws]) < 0.35
    for one in draws:
        top, left, high, wide = one.crop
        assert top >= 0
        assert left >= 0
        assert top + high <= 100
        assert left + wide <= 100


# --- Descriptors


@pytest.mark.torch
@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_pooling_is_what_the_extractor_does(pooling: Pooling, power: float) -> None:
    import torch

    from search.training.descriptors import pooled

    maps = np.random.default_rng(0).standard_normal((5, 32, 7, 9)).astype(np.float32)
    spec = ExtractorSpec("x", pooling=pooling, gem_p=2.5, power=power)
    want = numpy_pooling.l2_normalise(
        numpy_pooling.signed_power(numpy_pooling.pool(maps, pooling, spec.gem_p), spec.power)
    )
    tensor = torch.from_numpy(maps).requires_grad_()
    got = pooled(tensor, spec)
    np.testing.assert_allclose(got.detach().numpy(), want, atol=2e-5 if power == 1 else 2e-3)
    assert np.einsum("ij,ij->i", got.detach().numpy(), want).min() > 0.99999
    got[:, 0].sum().backward()
    assert torch.isfinite(tensor.grad).all()


@pytest.mark.torch
def test_a_power_has_a_slope_at_nothing() -> None:
    import torch

    from search.training.descriptors import signed_power

    x = torch.zeros(3, requires_grad=True)
    signed_power(x, 0.5).sum().backward()
    assert torch.isfinite(x.grad).all()


# --- Measuring


@pytest.mark.torch
def test_leave_one_out_leaves_copies_out_too() -> None:
    from search.training.validation import leave_one_out

    x = np.array([[1, 0], [1, 0], [0.8, 0.6], [0, 1], [0.1, 0.995]], np.float32)
    labels, places = np.array([0, 0, 1, 1, 1]), np.arange(5)
    apart = Samples(places, labels, ["a", "b"], places, places)
    # 0 and 1 find each other first: AP 1. 2 finds 4 then 3 before them: .. each computed by hand below.
    by_hand = [1, 1, None, 1, 1]
    by_hand[2] = (1 / 3 + 2 / 4) / 2  # scores of 2: 0.8, 0.8 (a, a), 0.677 (4), 0.6 (3)
    by_hand[3] = (1 / 1 + 2 / 2) / 2  # 0.995 (4), 0.6 (2), 0, 0
    by_hand[4] = (1 / 1 + 2 / 2) / 2  # 0.995 (3), 0.677 (2), 0.1, 0.1
    assert leave_one_out(x, apart)["mAP"] == pytest.approx(np.mean(by_hand))
    copies = Samples(places, labels, ["a", "b"], places, np.array([0, 0, 2, 3, 4]))
    assert leave_one_out(x, copies)["mAP"] == pytest.approx(np.mean(by_hand[2:]))  # 0 and 1 have no positives left


# --- Losses


@pytest.mark.torch
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_lower_where_classes_are_apart(loss: str) -> None:
    import torch

    from search.training.losses import objective

    labels = torch.arange(12) // 4
    centres = torch.nn.functional.normalize(torch.eye(3, 8), dim=1)
    generator = torch.Generator().manual_seed(0)
    near = centres[labels] + 0.1 * torch.randn(12, 8, generator=generator)
    far = torch.randn(12, 8, generator=generator)
    made = objective(FinetuneOptions(loss=loss, miner="all"), 3, 8)
    made.begin_with(centres, seed=0)
    values = [made(torch.nn.functional.normalize(x, dim=1), labels).item() for x in (near, far)]
    assert values[0] < values[1]
    assert (made.head is None) == (loss in ("triplet", "contrastive"))


@pytest.mark.torch
@pytest.mark.parametrize("miner", ["semihard", "hard", "all"])
def test_miners_choose_triplets(miner: str) -> None:
    import torch

    from search.training.losses import objective

    x = torch.nn.functional.normalize(torch.randn(16, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    x.requires_grad_()
    loss = objective(FinetuneOptions(loss="triplet", miner=miner), 4, 8)(x, torch.arange(16) // 4)
    loss.backward()
    assert float(loss) > 0
    assert float(x.grad.abs().sum()) > 0


# --- Checkpoints


@pytest.mark.torch
def test_a_checkpoint_is_whole_and_of_this_training(tmp_path: Path) -> None:
    from search.training import checkpoints

    assert checkpoints.load(tmp_path, {"a": "1"}) is None
    checkpoints.seed_all(5)
    checkpoints.save(tmp_path, {"job": {"a": "1"}, "random": checkpoints.random_states(), "step": 3})
    drawn = np.random.random(), checkpoints.random.random()
    found = checkpoints.load(tmp_path, {"a": "1"})
    assert found is not None
    assert found["step"] == 3
    checkpoints.restore_random(found["random"])
    assert (np.random.random(), checkpoints.random.random()) == drawn
    with pytest.raises(CheckpointDiffers, match="a changed"):
        checkpoints.load(tmp_path, {"a": "2"})
    path = tmp_path / checkpoints.NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointBroken):
        checkpoints.load(tmp_path, {"a": "1"})


# --- What can be trained


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (ExtractorSpec("color_gradient"), "nothing in it that learns"),
        (ExtractorSpec("resnet18", projection="pca.npz"), "projected from"),
    ],
)
def test_what_cannot_be_trained_says_why_and_what_can(spec: ExtractorSpec, said: str) -> None:
    with pytest.raises(NotTrainable, match=said):
        check_trainable(spec, "it", None)


def test_an_onnx_file_needs_its_torch_side(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"anything")
    spec = ExtractorSpec(ONNX, weights="net.onnx")
    with pytest.raises(NotTrainable, match="distil this one into lookalike"):
        check_trainable(spec, "it", tmp_path)
    path.with_suffix(".json").write_text(json.dumps({"trunk": {"backbone": "resnet18", "layer": "layer4"}}))
    with pytest.raises(NotTrainable, match=r"net\.safetensors is not beside"):
        check_trainable(spec, "it", tmp_path)
    path.with_suffix(".safetensors").write_bytes(b"")
    check_trainable(spec, "it", tmp_path)


def test_eight_bits_cannot_be_trained() -> None:
    with pytest.raises(NotTrainable, match="quantised from"):
        check_trainable(ExtractorSpec("resnet18"), "it", None, quantised=True)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "search.training.trainable.find_spec", lambda name: None if name == "pytorch_metric_learning" else name
    )
    with pytest.raises(TorchMissing, match=r"pytorch_metric_learning is not installed.*extra 'torch'"):
        require_torch()


@pytest.mark.torch
def test_stages_go_from_the_picture_to_the_map() -> None:
    from search.training.trunks import norms, stages, trunk_of

    resnet = trunk_of(ExtractorSpec("resnet18", "layer4", "none"), None)
    parts = stages(resnet.module)
    assert len(parts) == 5  # stem and four layers
    assert len(parts[0]) == 3  # its convolution, and scale and shift of its norm
    assert len(norms(resnet.module)) == 20
    assert resnet.dim == 512
    small = toy.trunk()
    assert [len(part) > 0 for part in stages(small.module)] == [True] * 3
