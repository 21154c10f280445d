"""Reading attributes of a data set that nobody has checked: what cannot be read is not there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


def value(ds: Dataset, keyword: str) -> Any:
    """An attribute's value; None where it is missing, empty or malformed."""
    try:
        found = ds.get(keyword)
    except Exception:  # values are converted when they are asked for, and hostile ones raise nearly anything
        return None
    return None if found is None or (isinstance(found, str | bytes) and not found) else found


def numbers(ds: Dataset, keyword: str) -> list[float]:
    """All finite numbers of an attribute; none where one of its values is no number."""
    found = value(ds, keyword)
    values: Iterable[Any] = found if isinstance(found, MultiValue | list | tuple) else [found]
    try:
        read = [float(one) for one in values if one is not None and one != ""]
    except (TypeError, ValueError, OverflowError):
        return []
    return read if all(map(math.isfinite, read)) else []


def number(ds: Dataset, keyword: str) -> float | None:
    found = numbers(ds, keyword)
    return found[0] if found else None


def whole(ds: Dataset, keyword: str) -> int | None:
    found = number(ds, keyword)
    return int(found) if found is not None and found == int(found) else None


def texts(ds: Dataset, keyword: str) -> list[str]:
    """The values of a text attribute, stripped; the empty ones too, so that places agree with those of others."""
    found = value(ds, keyword)
    values: Iterable[Any] = found if isinstance(found, MultiValue | list | tuple) else [found]
    return [str(one).strip() for one in values if one is not None]


def code(ds: Dataset, keyword: str) -> str:
    """The first value of a code string, in capitals; empty where there is none."""
    found = texts(ds, keyword)
    return found[0].upper() if found else ""


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence."""
    found = value(ds, keyword)
    try:
        return [item for item in found if isinstance(item, Dataset)] if found is not None else []
    except Exception:
        return []


def layers(ds: Dataset, frame: int, macro: str) -> list[Dataset]:
    """Where a frame's attributes of a functional group may be, the nearest first (PS3.3 C.7.6.16.1).

    ``macro``: keyword of the group's own sequence, such as FrameVOILUTSequence. ``frame`` from 0.
    """
    per_frame = items(ds, "PerFrameFunctionalGroupsSequence")
    groups = per_frame[frame : frame + 1] + items(ds, "SharedFunctionalGroupsSequence")[:1]
    return [item for group in groups for item in items(group, macro)[:1]] + [ds]
