"""Which pictures come together in a batch: the same number of each of some classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from search.training.samples import Labels


class ClassBalanced:
    """Batches of ``classes`` classes, ``per_class`` pictures of each, in an order that the seed alone decides.

    Every class comes once before any comes again, and in a class every picture before any comes again; a class with
    fewer pictures than ``per_class`` repeats them. Where there are fewer classes than asked for, batches are smaller.
    ``position``: batches given so far; that and the seed are its whole state.
    """

    def __init__(self, labels: Labels, classes: int, per_class: int, seed: int) -> None:
        self._members = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
        self._classes, self._per_class, self._seed = min(classes, len(self._members)), per_class, seed
        self._restart()

    def _restart(self) -> None:
        self.position = 0
        self._rng = np.random.default_rng([self._seed, 2])
        self._next_classes: list[int] = []
        self._next: list[list[int]] = [[] for _ in self._members]

    def batch(self) -> Labels:
        """Places in ``labels``, (classes * per_class,), those of a class together."""
        self.position += 1
        chosen: list[int] = []
        for label in self._drawn(self._next_classes, self._classes, np.arange(len(self._members))):
            chosen += self._drawn(self._next[label], self._per_class, self._members[label])
        return np.array(chosen, np.int64)

    def _drawn(self, waiting: list[int], count: int, every: Labels) -> list[int]:
        """``count`` of ``waiting``, which is filled up with a new order of ``every`` as often as needed."""
        drawn: list[int] = []
        while len(drawn) < count:
            if not waiting:
                waiting += self._rng.permutation(every).tolist()
            # None twice in a draw while there are others: what was drawn before a new round goes to its end.
            fresh = next((at for at, one in enumerate(waiting) if one not in drawn), 0)
            drawn.append(waiting.pop(fresh))
        return drawn

    def state(self) -> dict[str, Any]:
        return {"seed": self._seed, "position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where ``state`` was taken. The draws before it are made again: microseconds each."""
        self._restart()
        for _ in range(int(state["position"])):
            self.batch()
