"""The product branch: attribute heads on a frozen descriptor, and their probabilities beside it.

Each head is a logistic regression. What it says of a picture is shown to people (``predict``), and put beside the
descriptor (``apply``), so that what looks alike and is the same kind of thing comes first. A head's probabilities are
brought to length 1 and scaled by its weight: the score of two pictures is then a weighted mean of how alike they look
and of the cosines of what the heads say of them, 1 for the same prediction however sure it is. Which form of blocks and
how many weights were tried is told in docs/decisions/0022-attribute-branch.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from search.extraction.errors import BadConfiguration, WeightsChanged
from search.extraction.pooling import l2_normalise
from search.types import Descriptors

Floats = NDArray[np.float32]

CATEGORY = "category"  # the product's own field; other heads are of its attributes
MULTIPLE = 32  # dimensions are filled up to it, for the codes of indexes divide them into equal parts
CLEAR = 0.5  # a value is told where its probability passes at least half the way from its share to certainty
ENTRY = "heads"  # of the file; a projection's file has none


@dataclass(frozen=True)
class Prediction:
    """The likeliest value of one head. ``is_clear``: the picture says so, not merely the catalog's habits."""

    attribute: str
    value: str
    confidence: float  # calibrated probability
    is_clear: bool


@dataclass(frozen=True)
class Head:
    """``matrix`` float32 (d, c) and ``bias`` float32 (c,) give logits; a value "" is any that was too rare to learn.

    ``exclusive``: a product has one of the values; else any number of them, each with its own probability.
    ``shares`` float32 (c,): how frequent each value is in the catalog. ``weight``: of its block beside the descriptor.
    """

    attribute: str
    values: tuple[str, ...]
    exclusive: bool
    temperature: float
    weight: float
    shares: Floats
    matrix: Floats
    bias: Floats

    @property
    def named(self) -> NDArray[np.bool_]:
        """Columns (c,) that stand for a value, the one for all others left out."""
        return np.array([value != "" for value in self.values])

    def probabilities(self, x: Descriptors) -> Floats:
        """(n, d) -> (n, c)."""
        logits = np.asarray(x @ self.matrix + self.bias, np.float32)
        return probabilities(logits / np.float32(self.temperature), self.exclusive)

    def block(self, p: Floats) -> Floats:
        """Probabilities (n, c) -> what stands beside the descriptor, without its weight: rows of length 1."""
        return l2_normalise(p)

    def clear(self) -> Floats:
        """The least probability (c,) at which a value is told."""
        return np.asarray(self.shares + CLEAR * (1 - self.shares), np.float32)

    def facts(self) -> dict[str, Any]:
        names = ("attribute", "values", "exclusive", "temperature", "weight")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class AttributeBranch:
    """Stands where a projection does: ``apply``, ``dim``, ``identity``, ``save``. Safe to share between threads."""

    width: int  # d: of the descriptor without it
    heads: tuple[Head, ...]

    @cached_property
    def dim(self) -> int:
        whole = self.width + sum(len(head.values) for head in self.heads)
        return -(-whole // MULTIPLE) * MULTIPLE

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the numbers that are applied and the names that are told."""
        digest = hashlib.sha256(json.dumps([self.width, [head.facts() for head in self.heads]]).encode())
        for head in self.heads:
            for part in (head.shares, head.matrix, head.bias):
                digest.update(np.ascontiguousarray(part, "<f4").tobytes())
        return digest.hexdigest()

    def apply(self, x: Descriptors) -> Descriptors:
        """(n, d) -> (n, dim), rows L2-normalised. Raises BadConfiguration for another ``d``."""
        if x.shape[1] != self.width:
            raise BadConfiguration(
                reason=f"the attribute heads are of {self.width} dimensions, the network gives {x.shape[1]}"
            )
        whole = np.zeros((len(x), self.dim), np.float32)
        whole[:, : self.width], at = x, self.width
        for head in self.heads:
            whole[:, at : at + len(head.values)] = head.weight * head.block(head.probabilities(x))
            at += len(head.values)
        return l2_normalise(whole)

    def looks(self, x: Descriptors) -> Descriptors:
        """What ``apply`` gave (n, dim) -> the descriptors that it was given (n, d): nothing is lost beside them."""
        return l2_normalise(np.asarray(x[:, : self.width], np.float32))

    def predict(self, x: Descriptors, weights: Sequence[float] = ()) -> list[Prediction]:
        """What pictures (n, d) of one thing look like, a value a head, in the order of the heads.

        Their probabilities are averaged by ``weights``; a head that thinks of a value it does not know is silent.
        """
        shares = np.asarray(weights or [1.0] * len(x), np.float32)
        shares = shares / shares.sum()
        told = (self._told(head, shares @ head.probabilities(x)) for head in self.heads)
        return [prediction for prediction in told if prediction is not None]

    def _told(self, head: Head, p: Floats) -> Prediction | None:
        best = int(p.argmax())
        if not head.values[best]:
            return None
        return Prediction(head.attribute, head.values[best], float(p[best]), bool(p[best] >= head.clear()[best]))

    def save(self, path: Path) -> None:
        arrays: dict[str, Any] = {
            f"{part}_{at}": getattr(head, part) for at, head in enumerate(self.heads) for part in _ARRAYS
        }
        facts = json.dumps({"width": self.width, "heads": [head.facts() for head in self.heads]})
        arrays[ENTRY] = np.array(facts)
        with path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path, sha256: str = "") -> Self:
        """Raises BadConfiguration, and WeightsChanged where ``sha256`` is another than the branch's identity."""
        try:
            with np.load(path, allow_pickle=False) as data:
                facts = json.loads(str(data[ENTRY]))
                heads = tuple(_head(data, at, fact) for at, fact in enumerate(facts["heads"]))
                found = cls(int(facts["width"]), heads)
        except (OSError, ValueError, EOFError, KeyError, TypeError, BadZipFile) as error:
            raise BadConfiguration(reason=f"the attribute heads {path.name} cannot be read: {error}") from error
        if sha256 and found.identity != sha256:
            raise WeightsChanged(what=path.name, expected=sha256[:16], found=found.identity[:16])
        if any(head.matrix.shape != (found.width, len(head.values)) for head in heads):
            raise BadConfiguration(reason=f"the attribute heads {path.name} have arrays of the wrong shape")
        return found


_ARRAYS = ("shares", "matrix", "bias")


def _head(data: Any, at: int, facts: dict[str, Any]) -> Head:
    arrays = {part: data[f"{part}_{at}"].astype(np.float32) for part in _ARRAYS}
    return Head(**{**facts, "values": tuple(facts["values"])}, **arrays)


def probabilities(logits: Floats, exclusive: bool) -> Floats:
    """Softmax, or each value's own logistic function, of (n, c)."""
    if not exclusive:
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
