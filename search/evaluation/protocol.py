"""Ground truth: which grades are positive, which are left out, and what else leaves a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from catalog.errors import LookalikeError, gettext_noop


class UnknownProtocol(LookalikeError):
    code = "unknown_protocol"
    text = gettext_noop("There is no protocol '%(name)s'.")
    cure = gettext_noop("Known: %(known)s.")


class Grade(StrEnum):
    """As in the catalog's labels. What is not labelled is negative; a distractor is a negative with a name."""

    EASY = "easy"
    HARD = "hard"
    JUNK = "junk"
    DISTRACTOR = "distractor"
    NEGATIVE = "negative"


@dataclass(frozen=True)
class Protocol:
    """Grades that count as hits, and grades that leave the ranking before ranks are counted.

    ``keeps_query``: the query's own picture stays in the ranking and counts as its label says.
    """

    name: str
    positive: frozenset[str]
    ignored: frozenset[str]
    keeps_query: bool = False


def _protocol(name: str, positive: set[Grade], ignored: set[Grade], *, keeps_query: bool = False) -> Protocol:
    return Protocol(name, frozenset(positive), frozenset(ignored), keeps_query)


# Radenović et al., Revisiting Oxford and Paris, CVPR 2018. Medium is the default: easy and hard are positive.
MEDIUM = _protocol("medium", {Grade.EASY, Grade.HARD}, {Grade.JUNK})
EASY = _protocol("easy", {Grade.EASY}, {Grade.HARD, Grade.JUNK})
HARD = _protocol("hard", {Grade.HARD}, {Grade.EASY, Grade.JUNK})
# Philbin et al., CVPR 2007: good and ok are positive, and the query, a box of a gallery picture, finds that picture.
# With mAP_trapezoid: the figure that papers before 2018 call the mAP of Oxford5k.
OXFORD5K = _protocol("oxford5k", {Grade.EASY, Grade.HARD}, {Grade.JUNK}, keeps_query=True)
PROTOCOLS = {protocol.name: protocol for protocol in (MEDIUM, EASY, HARD, OXFORD5K)}


def protocol_named(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise UnknownProtocol(name=name, known=", ".join(PROTOCOLS))
    return PROTOCOLS[name]


def _ids(values: Iterable[int] = ()) -> NDArray[np.int64]:
    return np.unique(np.fromiter(values, np.int64))


@dataclass(frozen=True)
class Truth:
    """One query's ground truth: sorted ids that count, and sorted ids that leave the ranking."""

    positives: NDArray[np.int64] = field(default_factory=_ids)
    ignored: NDArray[np.int64] = field(default_factory=_ids)

    @property
    def relevant(self) -> int:
        """R: every positive, whether it is returned or not."""
        return len(self.positives)


def truth_of(grades: Mapping[int, str], protocol: Protocol = MEDIUM, itself: Iterable[int] = ()) -> Truth:
    """The ground truth of a query from its grades by picture id.

    ``itself``: the query's own picture and the pictures of the same content. They leave the ranking, and R
    too where someone graded them: finding a file by itself is no achievement.
    """
    own = set(itself)
    positives = {i for i, grade in grades.items() if grade in protocol.positive} - own
    ignored = {i for i, grade in grades.items() if grade in protocol.ignored} | own
    return Truth(_ids(positives), _ids(ignored))
