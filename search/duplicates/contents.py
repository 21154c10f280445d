"""The different files of a collection: rows of the same bytes are one content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.models import Collection, Image, ImageRole
from search.types import Ids

CHUNK = 5000


@dataclass(frozen=True)
class Contents:
    """One row a content, by rising id of its first picture. About 60 bytes a picture.

    ``first`` (n,): that picture. ``hashes`` (n, 8) uint8, zeros where there is none. ``copies``: the pictures behind
    the first one; ``owner``: the row that each belongs to.
    """

    first: Ids
    hashes: NDArray[np.uint8]
    copies: Ids
    owner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)

    def row_of(self, image_ids: Ids) -> NDArray[np.int64]:
        """The row of pictures that are first of theirs, -1 for others and unknown ones."""
        if not len(self):
            return np.full(len(image_ids), -1, np.int64)
        places = np.searchsorted(self.first, image_ids).clip(max=len(self) - 1)
        return np.where(self.first[places] == image_ids, places, -1)

    def copies_of(self, row: int) -> list[int]:
        start, end = np.searchsorted(self.owner, [row, row + 1])
        return [int(key) for key in self.copies[start:end]]


def contents_of(collection: Collection) -> Contents:
    """The gallery pictures of a collection, read in chunks by key."""
    ids, keys, hashes = [], [], []
    rows = Image.objects.filter(collection=collection, role=ImageRole.GALLERY).order_by("id")
    last = 0
    while chunk := list(rows.filter(id__gt=last).values_list("id", "sha256", "perceptual_hash__value")[:CHUNK]):
        last = chunk[-1][0]
        ids.append(np.array([row[0] for row in chunk], np.int64))
        keys.append(np.frombuffer(bytes.fromhex("".join(row[1][:32] for row in chunk)), np.uint64).reshape(-1, 2))
        hashes.append(np.frombuffer(b"".join(bytes(row[2] or bytes(8)) for row in chunk), np.uint8).reshape(-1, 8))
    if not ids:
        none = np.empty(0, np.int64)
        return Contents(none, np.empty((0, 8), np.uint8), none, none)
    return _grouped(np.concatenate(ids), np.concatenate(keys), np.concatenate(hashes))


def _grouped(ids: Ids, keys: NDArray[np.uint64], hashes: NDArray[np.uint8]) -> Contents:
    """By the first half of the SHA-256: 128 bits, no two files of any catalog share them."""
    order = np.lexsort((ids, keys[:, 1], keys[:, 0]))
    new = np.ones(len(ids), bool)
    new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    leaders = order[new]  # position of the first picture of each content
    number = np.empty(len(ids), np.int64)
    number[order] = np.cumsum(new) - 1
    by_id = np.argsort(ids[leaders], kind="stable")
    row = np.empty(len(leaders), np.int64)
    row[by_id] = np.arange(len(leaders))
    is_copy = np.ones(len(ids), bool)
    is_copy[leaders] = False
    owner = row[number[is_copy]]
    sorting = np.lexsort((ids[is_copy], owner))
    return Contents(ids[leaders][by_id], hashes[leaders][by_id], ids[is_copy][sorting], owner[sorting])
