"""The state of a training in one file: there whole, or as it was before."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search.training.errors import CheckpointBroken, CheckpointDiffers

NAME = "checkpoint.pt"


def save(folder: Path, content: dict[str, Any]) -> None:
    """Write beside, force onto the disk, rename. Tensors, numbers, text, lists and dicts of them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load(folder: Path, job: dict[str, str]) -> dict[str, Any] | None:
    """What ``save`` wrote, or None. ``job``: what must be as it was. Raises CheckpointBroken, CheckpointDiffers."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before: dict[str, str] = content["job"]
    except Exception as error:  # pickle, zip and key errors of many kinds
        raise CheckpointBroken(path=path, reason=str(error).splitlines()[0]) from error
    changed = sorted(name for name in {*job, *before} if job.get(name) != before.get(name))
    if changed:
        raise CheckpointDiffers(path=path, what=", ".join(changed))
    return content


def random_states() -> dict[str, Any]:
    """Of every generator that a network or a miner may draw from."""
    _, words, position, has_gauss, gauss = np.random.get_state(legacy=True)
    states = {
        "torch": torch.get_rng_state(),
        "numpy": [torch.from_numpy(np.asarray(words, np.int64)), position, has_gauss, gauss],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    words, position, has_gauss, gauss = states["numpy"]
    np.random.set_state(("MT19937", words.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, internal, last = states["python"]
    random.setstate((version, tuple(internal), last))
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
