"""Which frames of a file are meant: one, several, every nth, all. No pydicom."""

from __future__ import annotations

import re

from catalog.dicom.errors import BadFrame, BadFrames

NAMED = ("first", "middle", "last", "all")
_EVERY = re.compile(r"every[: ]([1-9]\d{0,5})")
_LIST = re.compile(r"[1-9]\d{0,6}(,\s*[1-9]\d{0,6})*")
MOST = 200  # characters of a choice


def frames_check(choice: str) -> str:
    """The choice, in lower case and without blanks around it. Raises BadFrames."""
    text = choice.strip().lower()
    if text in NAMED or (len(text) <= MOST and (_EVERY.fullmatch(text) or _LIST.fullmatch(text))):
        return text
    raise BadFrames(choice=repr(choice[:40]))


def frames_chosen(choice: str, frames: int) -> list[int]:
    """The frames, numbered from 1, rising. Every nth begins with the first. Raises BadFrames, BadFrame."""
    text = frames_check(choice or "first")
    if text == "middle":
        return [(frames + 1) // 2]
    if every := _EVERY.fullmatch(text):
        return list(range(1, frames + 1, int(every[1])))
    if text in NAMED:
        return {"first": [1], "last": [frames], "all": list(range(1, frames + 1))}[text]
    numbers = sorted({int(number) for number in text.split(",")})
    if numbers[-1] > frames:
        raise BadFrame(frame=numbers[-1], frames=frames)
    return numbers


def frame_chosen(choice: str, frames: int) -> int:
    """The one frame that a choice means. Raises BadFrames, BadFrame."""
    chosen = frames_chosen(choice, frames)
    if len(chosen) != 1:
        raise BadFrames(choice=repr(choice[:40]))
    return chosen[0]
