"""Classes that training never sees, and the mAP of a student on them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from search.extraction.preprocess import Pixels
from search.training import agreement
from search.types import Descriptors


def is_held_out(name: str, share: float) -> bool:
    """Whether a class of this name is: decided by its name alone, so everywhere alike."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") < share * 2**32


def split(files: Sequence[Path], share: float) -> tuple[list[Path], list[Path]]:
    """(to train on, held out), by the name of each file's folder."""
    kept = [path for path in files if not is_held_out(path.parent.name, share)]
    return kept, [path for path in files if is_held_out(path.parent.name, share)]


def squashed(pictures: Sequence[Pixels], side: int) -> Pixels:
    """(n, side, side, 3): whole pictures, shape ignored."""
    resized = [Image.fromarray(p).resize((side, side), Image.Resampling.BILINEAR) for p in pictures]
    return np.stack([np.asarray(image, np.uint8) for image in resized])


def leave_one_out(x: Descriptors, classes: Sequence[str]) -> float:
    """mAP of every picture (n, dim) as a query among the others; its class is what counts as relevant."""
    _, labels = np.unique(np.asarray(classes), return_inverse=True)
    return agreement.leave_one_out(x, labels, np.arange(len(x))).means["mAP"] or 0.0
