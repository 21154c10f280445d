"""The cut-off: which hits are likely enough to be shown at once, and which are folded away."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from search.services import Hit, Results
from search.web.asked import Asked

LIKELY, VERY_LIKELY = 0.5, 0.8
STAYS = frozenset({"pin"})  # a rule that wants its picture seen, however unlikely it is


@dataclass(frozen=True)
class Choice:
    """One least probability that may be chosen; an empty value leaves it to the index."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Cut:
    """``shown`` and ``folded`` hits, both in their order."""

    shown: list[Hit]
    folded: list[Hit]
    choices: list[Choice]  # none where scores are not calibrated
    unlikely: bool = False  # none is likely, and the closest are shown all the same


def cut(asked: Asked, results: Results | None) -> Cut:
    """Divide a page of hits. One without a likely hit is shown as it is, unless the reader asked for likely ones."""
    if results is None:
        return Cut([], [], choices(asked.min_p, None) if asked.min_p is not None else [])
    calibrated = any(hit.probability is not None for hit in results.hits)
    least = results.cut_off if asked.min_p is None else asked.min_p
    offered = choices(asked.min_p, results.cut_off) if calibrated or asked.min_p is not None else []
    likely = [hit for hit in results.hits if stays(hit, least or 0.0)]
    less = [hit for hit in results.hits if not stays(hit, least or 0.0)]
    if less and not likely and (asked.min_p is None or asked.page > 1):
        return Cut(less, [], offered, unlikely=True)
    return Cut(likely, less, offered)


def stays(hit: Hit, least: float) -> bool:
    if hit.probability is None or hit.probability >= least:
        return True
    return any(reason.rule in STAYS for reason in hit.reasons)


def choices(chosen: float | None, default: float | None) -> list[Choice]:
    """All, likely, very likely; and whatever else the index or the address says."""
    usual = default or 0.0
    now = usual if chosen is None else chosen
    levels = sorted({0.0, LIKELY, VERY_LIKELY, usual, now})
    return [Choice("" if level == usual else f"{level:g}", _label(level), level == now) for level in levels]


def _label(level: float) -> str:
    if not level:
        return _("All")
    share = {"percent": f"{round(100 * level, 1):g}"}
    if level == LIKELY:
        return _("Likely: %(percent)s%% or more") % share
    if level == VERY_LIKELY:
        return _("Very likely: %(percent)s%% or more") % share
    return _("%(percent)s%% or more") % share
