"""What a network is fine-tuned on: labelled pictures, and which of them are held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.training.errors import TooFewLabels
from search.types import Ids

Labels = NDArray[np.int64]
MANY_CLASSES = 20  # from so many on, hold_out_by "auto" holds whole classes out where each label is a product
LEAST_OF_CLASS = 2  # pictures: one alone has no like to be pulled to


@dataclass(frozen=True)
class Samples:
    """Labelled pictures, each at one place: ``ids`` (n,), ``labels`` (n,) into ``classes``.

    ``groups`` (n,): pictures of one group (a product, a patient) are never on both sides of a split.
    ``contents`` (n,): equal for pictures of equal bytes; they leave each other's rankings.
    ``whole_classes``: a label is one product, so that what counts is finding products never seen.
    """

    ids: Ids
    labels: Labels
    classes: Sequence[str]
    groups: Labels
    contents: Labels
    whole_classes: bool = False
    notes: dict[str, int] = field(default_factory=dict)  # what was left out, and how many

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Labels) -> Samples:
        """Only the pictures at ``places``, in that order; classes that become empty go, labels are renumbered."""
        kept, labels = np.unique(self.labels[places], return_inverse=True)
        return Samples(
            self.ids[places],
            labels.astype(np.int64).reshape(-1),
            [self.classes[label] for label in kept],
            self.groups[places],
            self.contents[places],
            self.whole_classes,
            self.notes,
        )

    def sizes(self) -> Labels:
        """Pictures of each class."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def sha256(self) -> str:
        """Of ids and classes, in order: what was trained on, in one line."""
        named = [[int(i), self.classes[label]] for i, label in zip(self.ids, self.labels, strict=True)]
        return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def usable(samples: Samples) -> Samples:
    """Without the classes that have one picture only."""
    kept = np.flatnonzero(samples.sizes()[samples.labels] >= LEAST_OF_CLASS)
    return samples if len(kept) == len(samples) else samples.take(kept)


def check(samples: Samples, per_class: int, cure: str) -> None:
    """Raise TooFewLabels unless there are two classes to tell apart after some were held out."""
    sizes = samples.sizes()
    good = int((sizes >= LEAST_OF_CLASS).sum())
    if good < 2:
        raise TooFewLabels(
            found=f"{len(samples)} labelled pictures, {good} classes with two or more",
            needed="two classes of two pictures",
            cure=cure,
        )


def split(samples: Samples, share: float, seed: int, by: str = "auto") -> tuple[Samples, Samples]:
    """(to train on, held out), the same for the same seed. Raises TooFewLabels where one side stays too small.

    by "classes": whole classes are held out, so what is measured is how classes never seen are found. by "pictures":
    of every class that is large enough a share of its pictures, by whole groups. by "auto": classes where a label is a
    product and there are many, else pictures. Either way a group stays on one side: a patient, a product.
    """
    if by == "auto":
        by = "classes" if samples.whole_classes and len(samples.classes) >= MANY_CLASSES else "pictures"
    rng = np.random.default_rng([seed, 1])
    held = _classes(samples, share, rng) if by == "classes" else _groups(samples, share, rng)
    train, out = usable(samples.take(np.flatnonzero(~held))), usable(samples.take(np.flatnonzero(held)))
    for name, side in (("train on", train), ("hold out", out)):
        if len(side.classes) < 2:
            raise TooFewLabels(
                found=f"{len(side)} pictures of {len(side.classes)} classes to {name}",
                needed="two classes of two pictures to train on, and as many to measure with",
                cure="Label more pictures, hold another share out, or hold out by pictures instead of classes.",
            )
    return train, out


def _classes(samples: Samples, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whole classes; and what shares a group with them, which is then used on neither side's behalf but theirs."""
    count = len(samples.classes)
    wanted = min(count - 2, max(2, round(share * count)))
    held = np.isin(samples.labels, rng.permutation(count)[: max(0, wanted)])
    return np.asarray(np.isin(samples.groups, samples.groups[held]))


def _groups(samples: Samples, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Groups of each class until it has its share, the rare classes first: stratified as far as groups allow.

    Every class keeps two pictures to train on.
    """
    held = np.zeros(len(samples), bool)
    kept = samples.sizes()
    out = np.zeros_like(kept)
    order = np.argsort(samples.groups, kind="stable")
    names, starts = np.unique(samples.groups[order], return_index=True)
    members = dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))
    for label in np.argsort(kept, kind="stable"):
        wanted = max(LEAST_OF_CLASS, round(share * int(kept[label] + out[label])))
        for group in rng.permutation(np.unique(samples.groups[samples.labels == label])).tolist():
            if out[label] >= wanted:
                break
            counts = np.bincount(samples.labels[members[group]], minlength=len(kept))
            if held[members[group]].any() or (kept - counts)[counts > 0].min() < LEAST_OF_CLASS:
                continue
            held[members[group]] = True
            kept, out = kept - counts, out + counts
    return held
