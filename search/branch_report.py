"""What a branch's training run found, as tables for pages and for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from search.extraction.attributes import CATEGORY
from search.training.branch_measures import PRODUCT

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    title: str
    says: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """In columns of a terminal."""
        lines = [[str(cell) for cell in line] for line in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        body = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join(["", self.title, *body]) + "\n"


def accuracies(results: Mapping[str, Any]) -> Table:
    """A row a head, with the baseline of always saying the most frequent value."""
    columns = [
        gettext("attribute"),
        gettext("values"),
        gettext("products"),
        gettext("right"),
        gettext("most frequent value"),
        gettext("clear"),
        gettext("right when clear"),
        gettext("calibration error"),
    ]
    rows = [
        [
            attribute_name(head["attribute"]),
            str(sum(value != "" for value in head["values"])),
            str(head["products"]),
            *(percent(head[name]) for name in ("accuracy", "majority", "told", "right_when_told")),
            figure(head["ece"]),
        ]
        for head in results.get("heads", [])
    ]
    says = gettext(
        "On products that were neither fitted nor tuned on. Clear: what is read is sure enough to be shown to visitors."
    )
    return Table(gettext("Attribute heads"), says, columns, rows)


def rankings(results: Mapping[str, Any]) -> Table:
    """A row a kind of relevance: mAP without and with the branch."""
    columns = [
        gettext("relevant is"),
        gettext("queries"),
        gettext("mAP without"),
        gettext("mAP with"),
        gettext("gain, 95 %"),
    ]
    rows = [
        [
            relevance_name(row["by"]),
            str(row["queries"]),
            figure(row["without"]),
            figure(row["with"]),
            NOTHING if row["low"] is None else f"{row['low']:+.3f} … {row['high']:+.3f}",
        ]
        for row in results.get("mAP", [])
    ]
    says = gettext("Every held-out picture searches the others; those of its own product do not count.")
    return Table(gettext("Rankings"), says, columns, rows)


def left_out(results: Mapping[str, Any]) -> Table:
    rows = [[attribute_name(one["attribute"]), why(one["why"])] for one in results.get("left_out", [])]
    return Table(gettext("Left out"), "", [gettext("attribute"), gettext("because")], rows)


def attribute_name(name: str) -> str:
    return gettext("category") if name == CATEGORY else name


def relevance_name(name: str) -> str:
    if name == PRODUCT:
        return gettext("the same product")
    return gettext("the same: %s") % attribute_name(name)


def why(reason: str) -> str:
    """Why an attribute has no head."""
    return {
        "numbers": gettext("numbers are amounts, not kinds"),
        "mixed": gettext("its values are of several sorts"),
        "few_values": gettext("fewer than two values have eight products"),
        "coverage": gettext("fewer than three in ten products state it"),
        "free_text": gettext("most of its values are rare: free text"),
        "no_better": gettext("pictures tell no more of it than its frequencies do"),
    }.get(reason, reason)


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f} %"


def figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
