"""Order by standing: the score and what rules in score units added to it. Not a rule itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search.ranking.candidates import Candidate

MOST = 0.5  # of a lift: scores lie between -1 and 1, and look-alikes mostly within a few tenths

Explain = Callable[[Candidate, int], Candidate]  # a candidate and how many places it went up (down: negative)


def check_strength(name: str, value: float) -> None:
    if not 0 < value <= MOST:
        raise ValueError(f"{name} must be above 0 and at most {MOST}, not {value}")


def by_standing(candidates: list[Candidate], lifts: Sequence[float], explain: Explain) -> list[Candidate]:
    """``candidates`` with their ``lifts`` added, by falling standing; equal ones keep their order.

    ``explain`` is asked for the candidates that were lifted (or lowered) and moved.
    """
    lifted = [c.lifted(lift) if lift else c for c, lift in zip(candidates, lifts, strict=True)]
    places = sorted(range(len(lifted)), key=lambda place: -lifted[place].standing)
    return [
        explain(lifted[old], old - new) if lifts[old] and old != new else lifted[old] for new, old in enumerate(places)
    ]
