from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from search.extraction.extractor import build_extractor
from search.extraction.preprocess import Preprocessing
from search.extraction.spec import ExtractorSpec
from search.training.recipe import Phase, Recipe
from search.training.teachers import Teacher, fit_targets, share, side_by_side, together
from tests.search.training.tiny_teacher import inverted, plain

if TYPE_CHECKING:
    from search.extraction.preprocess import Pixels

pytestmark = pytest.mark.torch

PHASES = (
    Phase("blocks", 6, 2e-3, 1e-3, (64,), blocks=True, stages=1.0, warm_up=2),
    Phase("joined", 4, 2e-3, 1e-3, (64,), stages=0.3, similarity=2.0, warm_up=2),
    Phase("descriptors", 4, 1e-3, 1e-4, (32, 64), teacher_side=64, similarity=2.0, warm_up=1),
)
TINY = Recipe(batch=6, phases=PHASES, measure_every=7)


def scenes(count: int, seed: int = 0) -> list[Pixels]:
    """Discs of random colours on random grounds."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:72, 0:72]
    found = []
    for _ in range(count):
        picture = np.empty((72, 72, 3), np.uint8)
        picture[:] = rng.integers(0, 256, 3)
        for _ in range(4):
            picture[(x - rng.integers(72)) ** 2 + (y - rng.integers(72)) ** 2 < rng.integers(60, 500)] = rng.integers(
                0, 256, 3
            )
        found.append(picture)
    return found


@pytest.fixture
def teachers(tmp_path: Path) -> list[Teacher]:
    return [Teacher(make(tmp_path / f"{make.__name__}.onnx"), Preprocessing(), 1) for make in (plain, inverted)]


def test_axes_are_shared_between_teachers_as_their_maps_allow() -> None:
    assert share(80, [128, 32]) == [48, 32]
    assert share(512, [1024, 1280]) == [256, 256]
    assert share(100, [16, 8]) == [92, 8]


def test_axes_laid_into_a_teacher_give_what_they_give_outside(teachers: list[Teacher]) -> None:
    pixels = np.stack([p[:64, :64] for p in scenes(8)])
    maps = [teacher.run(pixels) for teacher in teachers]
    targets = fit_targets(teachers, iter([pixels]), [10, 14, 20, 7])
    expected = []
    for at, axes in enumerate(targets.stages[1]):
        flat = maps[at][1].transpose(0, 2, 3, 1)
        expected.append(((flat - axes.mean) @ axes.matrix).transpose(0, 3, 1, 2))
    targets.teach(teachers)
    found = side_by_side([teacher.run(pixels) for teacher in teachers], 1)
    assert found.shape == (8, 14, 8, 8)
    assert np.concatenate(expected, axis=1) == pytest.approx(found, abs=0.15)  # bfloat16 where there is AMX
    assert np.mean(found**2) == pytest.approx(1, rel=0.2)  # what a share of the variance is counted in


def test_the_last_map_alone_is_the_same_map(teachers: list[Teacher]) -> None:
    pixels = np.stack([p[:64, :64] for p in scenes(3)])
    whole, alone = teachers[0].run(pixels), teachers[0].run(pixels, inner=False)
    assert len(whole) == 5
    assert len(alone) == 2
    assert np.allclose(alone[0], whole[3], atol=0.05)
    assert np.allclose(alone[1], whole[3].mean((2, 3)), atol=0.05)


def test_a_descriptor_is_centred_roots_of_means_of_all_teachers(teachers: list[Teacher]) -> None:
    pixels = np.stack([p[:64, :64] for p in scenes(12)])
    found = [teacher.run(pixels) for teacher in teachers]
    roots = together(found)
    assert roots.shape == (12, 24 + 20)
    assert np.linalg.norm(roots[:, :24], axis=1) == pytest.approx(1)
    targets = fit_targets(teachers, iter([pixels]), [10, 14, 20, 6])
    x = targets.descriptors(found)
    assert x.shape == (12, 6)
    centred = roots - roots.mean(0)
    rank = np.corrcoef((x @ x.T)[0, 1:], (centred @ centred.T)[0, 1:] / np.linalg.norm(centred[1:], axis=1))[0, 1]
    assert rank > 0.9


def test_the_rate_warms_up_and_falls() -> None:
    phase = Phase("x", 100, 1.0, 0.1, warm_up=10)
    rates = [phase.rate_at(at) for at in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_a_student_learns_and_goes_on_after_a_kill_to_the_same_network(tmp_path: Path, teachers: list[Teacher]) -> None:
    import torch

    from search.training.distill import describe, distill

    pictures = scenes(24)
    whole, curve = distill(teachers, pictures, tmp_path / "whole", TINY)
    assert [row["step"] for row in curve] == [7, 14]

    class Killed(Exception):
        pass

    def kill(step: int, steps: int, row: Any) -> None:
        if step == 7:
            raise Killed

    with pytest.raises(Killed):
        distill(teachers, pictures, tmp_path / "killed", TINY, report=kill)
    seen: list[int] = []
    again, curve_again = distill(
        teachers, pictures, tmp_path / "killed", TINY, report=lambda *progress: seen.append(progress[0])
    )
    assert seen == list(range(8, 15))
    assert [row["step"] for row in curve_again] == [7, 14]
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5)
    assert describe(whole, np.stack([p[:64, :64] for p in pictures[:4]])).shape == (4, 512)


def test_losses_fall(tmp_path: Path, teachers: list[Teacher]) -> None:
    from search.training.distill import distill

    blocks = replace(TINY, phases=(replace(PHASES[0], steps=40),), measure_every=10)
    _, curve = distill(teachers, scenes(30), tmp_path / "run", blocks)
    assert curve[-1]["stages"] < 0.8 * curve[0]["stages"]
    assert curve[-1]["descriptor"] < curve[0]["descriptor"]


def folders(root: Path) -> Path:
    for at, picture in enumerate(scenes(120, seed=4)):
        path = root / f"class {at // 12}" / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    return root


def test_the_command_writes_a_network_that_the_site_can_open(tmp_path: Path) -> None:
    teacher, pictures = plain(tmp_path / "t.onnx"), folders(tmp_path / "pictures")
    out = StringIO()
    arguments = ["--teacher", teacher, "--pictures", pictures, "--measure", pictures, "--scale", "0.0003"]
    call_command("distill", tmp_path / "run", *map(str, arguments), "--held-out", "0.3", stdout=out)
    assert "held out" in out.getvalue()
    assert "mAP" in out.getvalue()
    card = json.loads((tmp_path / "run" / "student.json").read_text())
    assert (card["dim"], card["facts"]["teachers"]) == (512, ["t"])
    assert 0 < card["facts"]["held_out_mAP"] <= 1
    extractor = build_extractor(ExtractorSpec("onnx", weights=str(tmp_path / "run" / "student.onnx")), threads=1)
    x = extractor.extract([Image.fromarray(p) for p in scenes(2)])
    assert x.shape == (2, 512)
    assert np.linalg.norm(x, axis=1) == pytest.approx(1, abs=1e-3)


def test_held_out_classes_are_not_learned_from(tmp_path: Path) -> None:
    from search.training.distillation import Distillation
    from search.training.held_out import is_held_out

    pictures = folders(tmp_path / "pictures")
    job = Distillation(tmp_path, "x", (), (pictures,), pictures, 0.3)
    files, held = job._files()
    assert held
    assert all(is_held_out(path.parent.name, 0.3) for path in held)
    assert not any(is_held_out(path.parent.name, 0.3) for path in files)


def test_too_few_pictures_are_named(tmp_path: Path) -> None:
    teacher = plain(tmp_path / "t.onnx")
    (tmp_path / "few").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "few" / "one.png")
    with pytest.raises(CommandError, match="1 pictures to learn from in few; 64 are needed"):
        call_command("distill", str(tmp_path / "run"), "--teacher", str(teacher), "--pictures", str(tmp_path / "few"))
