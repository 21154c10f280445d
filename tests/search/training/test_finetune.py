"""A network learns from a collection's labels: every loss helps, a kill changes nothing, the best state wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.errors import JobCancelled
from search.training.errors import CheckpointDiffers, Diverged
from search.training.options import LOSSES
from tests.search.training.toy import finetuning, samples

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Sums in one order: what is compared number for number must not depend on who else is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def quiet(stage: str, done: int, total: int, curve: list[dict[str, Any]]) -> None:
    """Nobody watches."""


def stop_at(step: int) -> Callable[..., None]:
    def report(stage: str, done: int, total: int, curve: list[dict[str, Any]]) -> None:
        if stage == "training" and done >= step:
            raise JobCancelled

    return report


def weights(training: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in training._trunk.module.state_dict().items()}


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_makes_held_out_pictures_find_their_like(loss: str, tmp_path: Path) -> None:
    training = finetuning(tmp_path, loss=loss)
    outcome = training.run(quiet)
    assert outcome.best >= outcome.frozen + 0.3
    assert outcome.best_step > 0
    first, *rest = outcome.curve
    assert (first["step"], first["loss"], first["mAP"]) == (0, None, outcome.frozen)
    assert rest[-1]["step"] == outcome.steps == 40
    assert rest[-1]["loss"] < rest[0]["loss"]
    assert not outcome.stopped_early


def test_the_trunk_ends_as_the_best_state(tmp_path: Path) -> None:
    training = finetuning(tmp_path)
    outcome = training.run(quiet)
    assert 0 < outcome.best_step < outcome.steps  # the last is not the best here
    again = training._described(training._held_out, "measuring")
    from search.training.validation import leave_one_out

    assert leave_one_out(again, training._held_out.samples)["mAP"] == pytest.approx(outcome.best, abs=1e-6)


@pytest.mark.parametrize("loss", ["triplet", "arcface"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_was_stopped_ends_the_same(loss: str, precision: str, tmp_path: Path) -> None:
    given = {"loss": loss, "precision": precision, "steps": 14, "evaluate_every": 5, "checkpoint_every": 4}
    whole = finetuning(tmp_path / "whole", **given)
    outcome = whole.run(quiet)
    for step in (3, 6, 11):
        with pytest.raises(JobCancelled):
            finetuning(tmp_path / "parts", **given).run(stop_at(step))
    parts = finetuning(tmp_path / "parts", **given)
    resumed = parts.run(quiet)
    assert resumed.curve == outcome.curve
    assert (resumed.best_step, resumed.best) == (outcome.best_step, outcome.best)
    for (name, one), other in zip(weights(whole).items(), weights(parts).values(), strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    for one, other in zip(whole._learner.module.parameters(), parts._learner.module.parameters(), strict=True):
        assert (one == other).all()


def test_a_kill_between_checkpoints_loses_only_what_came_after(tmp_path: Path) -> None:
    """As after kill -9: the checkpoint of step 4 is there, steps 5 and 6 were never saved."""
    given = {"steps": 10, "evaluate_every": 5, "checkpoint_every": 4}
    whole = finetuning(tmp_path / "whole", **given)
    whole.run(quiet)

    def die(stage: str, done: int, total: int, curve: list[dict[str, Any]]) -> None:
        if stage == "training" and done == 6:
            raise SystemExit  # no LookalikeError: nothing is saved on the way out

    with pytest.raises(SystemExit):
        finetuning(tmp_path / "killed", **given).run(die)
    steps: list[int] = []
    resumed = finetuning(tmp_path / "killed", **given)
    resumed.run(lambda stage, done, *_: steps.append(done) if stage == "training" else None)
    assert min(steps) == 5
    for name, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(resumed)[name], err_msg=name)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    outcome = finetuning(tmp_path, steps=6).run(quiet)
    stages: list[str] = []
    again = finetuning(tmp_path, steps=6).run(lambda stage, *_: stages.append(stage))
    assert stages == []
    assert again.curve == outcome.curve


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    finetuning(tmp_path, steps=4).run(quiet)
    with pytest.raises(CheckpointDiffers, match="an option"):
        finetuning(tmp_path, steps=4, rate=1e-4).run(quiet)
    for file in tmp_path.glob("*.u8"):  # else the other pictures would be read from it
        file.unlink()
        file.with_suffix(".json").unlink()
    with pytest.raises(CheckpointDiffers, match="pictures or labels"):
        finetuning(tmp_path, samples(classes=5), steps=4).run(quiet)


def test_it_stops_when_it_gets_no_better(tmp_path: Path) -> None:
    outcome = finetuning(tmp_path, patience=2, steps=40, evaluate_every=2).run(quiet)
    assert outcome.stopped_early
    assert outcome.steps == outcome.best_step + 4 < 40


def test_where_training_never_helps_the_frozen_network_comes_out(tmp_path: Path) -> None:
    """A rate that moves nothing: the frozen mAP is met but not beaten."""
    training = finetuning(tmp_path, steps=4, evaluate_every=2, rate=1e-8, freeze_norm=True)
    before = {name: value.copy() for name, value in weights(training).items()}
    outcome = training.run(quiet)
    assert (outcome.best_step, outcome.best) == (0, outcome.frozen)
    for name, value in weights(training).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_first_stages_and_norms_can_be_frozen(tmp_path: Path) -> None:
    training = finetuning(tmp_path, steps=3, freeze=0.4, freeze_norm=True)
    before = {name: value.copy() for name, value in weights(training).items()}
    with pytest.raises(JobCancelled):
        training.run(stop_at(3))
    after = weights(training)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert {name for name in before if name.startswith("stages.0.")} <= same  # one of three
    assert {name for name in before if "running_" in name} <= same
    assert "stages.2.0.1.weight" not in same


def test_statistics_of_a_frozen_stage_do_not_move_either(tmp_path: Path) -> None:
    training = finetuning(tmp_path, steps=3, freeze=0.4, freeze_norm=False)
    before = {name: value.copy() for name, value in weights(training).items()}
    with pytest.raises(JobCancelled):
        training.run(stop_at(3))
    moved = {name.split(".")[1] for name, value in weights(training).items() if not np.array_equal(before[name], value)}
    assert moved == {"1", "2"}


def test_a_loss_that_is_no_number_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    training = finetuning(tmp_path, loss="cross_entropy", steps=3)
    monkeypatch.setattr("search.training.learner.pooled", lambda maps, _: maps.mean((2, 3)) * torch.inf)
    with pytest.raises(Diverged, match="lower learning rate"):
        training.run(quiet)
