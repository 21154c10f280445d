"""Transfer learning: a network learns what a collection's own labels call alike.

It is measured on held-out pictures before the first step and then every so often; the best of these states comes
out, and if that is the first, the network is as it was. A training that is killed goes on from its last checkpoint to
the same result, on one machine and with float32 or bfloat16 on a CPU to the last digit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from catalog.errors import LookalikeError
from search.extraction.spec import ExtractorSpec
from search.training import checkpoints
from search.training.batches import Batches
from search.training.learner import Learner
from search.training.losses import objective
from search.training.options import FinetuneOptions
from search.training.pictures import Pictures
from search.training.precision import Arithmetic
from search.training.samples import Labels, Samples
from search.training.sampling import ClassBalanced
from search.training.trunks import Trunk, describe
from search.training.validation import describe as descriptors_of
from search.training.validation import leave_one_out
from search.training.weights_file import load_into, save_weights

Row = dict[str, Any]  # step, loss, mAP, hit_rate@1, rate; None where it was not measured
Report = Callable[[str, int, int, list[Row]], None]  # stage, done, total, curve; may raise to stop

LOSSES_SHOWN = 200  # points of the loss's curve


@dataclass(frozen=True)
class Side:
    """Samples and where their pictures are: sample i is at ``places[i]`` of ``pictures``."""

    samples: Samples
    pictures: Pictures
    places: Labels


@dataclass(frozen=True)
class Outcome:
    """``best_step`` 0: training never beat the frozen network."""

    steps: int
    best_step: int
    best: float
    frozen: float
    stopped_early: bool
    arithmetic: str
    curve: list[Row] = field(repr=False)


class Finetuning:
    """One training. ``train`` pictures are kept a little larger than ``options.side``, so that crops differ."""

    def __init__(
        self, trunk: Trunk, spec: ExtractorSpec, train: Side, held_out: Side, options: FinetuneOptions,
        arithmetic: Arithmetic, folder: Path, threads: int = 2,
    ) -> None:  # fmt: skip
        self._trunk, self._spec, self._train, self._held_out = trunk, spec, train, held_out
        self._options, self._arithmetic, self._folder, self._threads = options, arithmetic, folder, threads
        self.total, self.epoch = options.steps_of(len(train.samples))
        self.curve: list[Row] = []
        self._best, self._best_step, self._measured_since = -1.0, 0, 0
        self._losses: list[float] = []
        self._job = self._identity()

    def _identity(self) -> dict[str, str]:
        """What a checkpoint must agree with to be gone on from."""
        module = hashlib.sha256(describe(self._trunk.kind).encode())
        for name, value in sorted(self._trunk.module.state_dict().items()):
            module.update(name.encode() + np.ascontiguousarray(value.cpu().numpy()).tobytes())
        pictures = self._train.samples.sha256 + self._held_out.samples.sha256
        options = json.dumps([self._options.to_dict(), self._arithmetic.name], sort_keys=True)
        return {
            "the network": module.hexdigest(),
            "its pictures or labels": hashlib.sha256(pictures.encode()).hexdigest(),
            "an option": hashlib.sha256(options.encode()).hexdigest(),
        }

    def run(self, report: Report) -> Outcome:
        """Train to the end, or to an early one; the trunk then holds the best state. Raises what ``report`` raises."""
        self._report = report
        checkpoints.seed_all(self._options.seed)
        self._begin()
        stopped = self._stops()
        if not stopped:
            stopped = self._learn()
        if self._best_step:
            load_into(self._trunk.module, self._best_file(self._best_step))
        else:
            self._trunk.module.load_state_dict(self._frozen)
        self._trunk.module.eval()
        measured = [row["mAP"] for row in self.curve if row["mAP"] is not None]
        early = stopped and self._learner.step < self.total
        return Outcome(
            self._learner.step, self._best_step, self._best, measured[0], early, self._arithmetic.name, self.curve
        )

    def _begin(self) -> None:
        options, samples = self._options, self._train.samples
        self._frozen = {name: value.clone() for name, value in self._trunk.module.state_dict().items()}
        loss = objective(options, len(samples.classes), self._trunk.dim)
        self._learner = Learner(self._trunk, loss, self._spec, options, self._arithmetic, self.total)
        self._sampler = ClassBalanced(samples.labels, options.classes, options.per_class, options.seed)
        saved = checkpoints.load(self._folder, self._job)
        if saved is not None:
            self._restore(saved)
            return
        self._measure(None)
        if loss.head is not None:
            self._tell("class means")
            loss.begin_with(self._class_means(), options.seed)
        self._save()

    def _class_means(self) -> torch.Tensor:
        """(classes, dim): where the frozen network sees the classes now."""
        x = torch.from_numpy(self._described(self._train, "class means"))
        labels = torch.from_numpy(self._train.samples.labels)
        sums = torch.zeros(len(self._train.samples.classes), x.shape[1]).index_add_(0, labels, x)
        return torch.nn.functional.normalize(sums, dim=1)

    def _learn(self) -> bool:
        """Whether it was stopped early."""
        options, learner = self._options, self._learner
        every = options.evaluate_every or self.epoch
        keep = options.checkpoint_every or self.epoch
        shown = max(1, self.total // LOSSES_SHOWN)
        batches = Batches(
            self._train.pictures, self._train.places, self._train.samples.labels,
            options.side, options.augment, options.seed, self._threads,
        ).after(self._sampler, self.total)  # fmt: skip
        try:
            for pixels, labels in batches:
                self._losses.append(learner.learn(pixels, labels))
                last = learner.step == self.total
                if learner.step % every == 0 or last:
                    self._measure(self._loss())
                elif learner.step % shown == 0:
                    self._row(self._loss())
                stopping = self._stops()
                if learner.step % keep == 0 or last or stopping:
                    self._save()
                if stopping:
                    return True
                self._tell("training")
        except LookalikeError:
            batches.close()
            self._save()  # told to stop between two steps: nothing is lost
            raise
        finally:
            batches.close()
        return False

    def _loss(self) -> float:
        """The mean since it was last shown."""
        value = float(np.mean(self._losses))
        self._losses = []
        return value

    def _row(self, loss: float | None, measured: dict[str, float] | None = None) -> None:
        row = {"step": self._learner.step, "loss": loss, "mAP": None, "rate": self._learner.rate, **(measured or {})}
        self.curve.append(row)

    def _measure(self, loss: float | None) -> None:
        found = leave_one_out(self._described(self._held_out, "measuring"), self._held_out.samples)
        self._row(loss, found)
        self._measured_since += 1
        if found["mAP"] > self._best:
            self._best, self._best_step, self._measured_since = found["mAP"], self._learner.step, 0
            if self._learner.step:
                save_weights(self._trunk.module, self._best_file(self._learner.step))

    def _described(self, side: Side, stage: str) -> Any:
        how = self._trunk.preprocessing
        if side is self._train:
            how = how.at(self._options.side)
        return descriptors_of(
            self._learner.module, side.pictures, side.places, how, self._spec, self._arithmetic,
            lambda: self._tell(stage),
        )  # fmt: skip

    def _stops(self) -> bool:
        return bool(self._options.patience) and self._measured_since >= self._options.patience

    def _tell(self, stage: str) -> None:
        self._report(stage, self._learner.step, self.total, self.curve)

    def _best_file(self, step: int) -> Path:
        return self._folder / f"best-{step}.safetensors"

    def _save(self) -> None:
        checkpoints.save(
            self._folder,
            {
                "job": self._job,
                "learner": self._learner.state(),
                "sampler": {**self._sampler.state(), "position": self._learner.step},  # threads draw ahead of it
                "random": checkpoints.random_states(),
                "curve": self.curve,
                "losses": self._losses,
                "best": [self._best, self._best_step, self._measured_since],
            },
        )
        for file in self._folder.glob("best-*.safetensors"):
            if file != self._best_file(self._best_step):
                file.unlink()

    def _restore(self, saved: dict[str, Any]) -> None:
        self._learner.restore(saved["learner"])
        self._sampler.restore(saved["sampler"])
        checkpoints.restore_random(saved["random"])
        self.curve, self._losses = list(saved["curve"]), list(saved["losses"])
        self._best, self._best_step, self._measured_since = saved["best"]
