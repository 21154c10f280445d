"""Which pictures are of the same patient, and splits that no patient is on both sides of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from catalog.models import DicomFrame, Image, ImageRole

STEPS = 1 << 32


def patients_of(collection_id: int) -> dict[int, str]:
    """Picture id -> pseudonym of the patient, of the pictures of a collection that came as DICOM."""
    frames = DicomFrame.objects.filter(image__collection=collection_id)
    return dict(frames.values_list("image_id", "series__study__patient").iterator(chunk_size=10_000))


def split_by_patient(
    collection_id: int, shares: Mapping[str, float], *, seed: int = 0, role: ImageRole | str = ImageRole.GALLERY
) -> dict[str, list[int]]:
    """Picture ids of a collection by part, each patient in one part alone: for training and held-out sets.

    ``shares``: name -> how large a part is, of their sum; about, for patients are not divided. A patient's part hangs
    on the seed and the pseudonym, so pictures that come later join the part of their patient. A picture that did not
    come as DICOM is its own patient. Raises ValueError where no share is above zero.
    """
    names, bounds = _bounds(shares)
    patients = patients_of(collection_id)
    parts: dict[str, list[int]] = {name: [] for name in names}
    ids = Image.objects.filter(collection=collection_id, role=role).order_by("id").values_list("id", flat=True)
    for image_id in ids.iterator(chunk_size=10_000):
        parts[_part(patients.get(image_id) or f"picture {image_id}", seed, names, bounds)].append(image_id)
    return parts


def _bounds(shares: Mapping[str, float]) -> tuple[list[str], list[float]]:
    whole = sum(shares.values())
    if not whole > 0 or min(shares.values()) < 0:
        raise ValueError("shares must not be negative, and one of them above zero")
    sums = [sum(list(shares.values())[: place + 1]) / whole for place in range(len(shares))]
    return list(shares), sums


def _part(patient: str, seed: int, names: Sequence[str], bounds: Sequence[float]) -> str:
    digest = hashlib.sha256(f"{seed} {patient}".encode()).digest()
    drawn = int.from_bytes(digest[:4], "big") / STEPS
    return next((name for name, bound in zip(names, bounds, strict=True) if drawn < bound), names[-1])
