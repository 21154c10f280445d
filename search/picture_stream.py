"""Picture files -> descriptors, in order: decoding threads, network threads, and nobody waits for the database."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.core.files.storage import default_storage

from catalog.errors import LookalikeError
from catalog.images import Limits, decode
from search.extraction.extractor import Extractor
from search.extraction.preprocess import Pixels
from search.vectors import to_bytes

log = logging.getLogger(__name__)

PART = 8  # pictures that a decoding thread is given at a time: each handing over costs a twentieth of a millisecond
AHEAD = 3  # batches that decoding may be ahead of the network
DESCRIBING = 2  # batches in the network: while the last pictures of one are computed, the next one's have begun
NOT_FINITE = "The network gave no finite descriptor for this picture."

File = tuple[int, str]  # picture's id, name in the storage


@dataclass
class Prepared:
    """A picture on its way to the network: its pixels, or why there are none."""

    image_id: int
    pixels: Pixels | None = None
    error: str = ""


@dataclass
class Described:
    """A picture's descriptor as its row holds it, or why there is none."""

    image_id: int
    vector: bytes | None = None
    error: str = ""


class PictureStream:
    """The threads of one run. To be closed: on an error or Ctrl-C they end without finishing what waits."""

    def __init__(self, extractor: Extractor, limits: Limits) -> None:
        self._extractor, self._limits = extractor, limits
        threads = settings.EXTRACTION_THREADS or os.cpu_count() or 1
        self._decoders = ThreadPoolExecutor(min(8, max(2, threads)), thread_name_prefix="decode")
        self._networks = ThreadPoolExecutor(DESCRIBING, thread_name_prefix="describe")

    def close(self) -> None:
        self._decoders.shutdown(wait=True, cancel_futures=True)
        self._networks.shutdown(wait=True, cancel_futures=True)

    def described(self, files: list[File]) -> Iterator[list[Described]]:
        """Batches of EXTRACTION_BATCH pictures. Raises OSError where the disk, not a picture, is at fault."""
        decoding: deque[list[Future[list[Prepared]]]] = deque()
        describing: deque[Future[list[Described]]] = deque()
        for batch in _slices(files, settings.EXTRACTION_BATCH):
            decoding.append([self._decoders.submit(self._prepare_all, part) for part in _slices(batch, PART)])
            if len(decoding) > AHEAD:
                describing.append(self._networks.submit(self._describe, decoding.popleft()))
            if len(describing) > DESCRIBING:
                yield describing.popleft().result()
        describing.extend(self._networks.submit(self._describe, parts) for parts in decoding)
        while describing:
            yield describing.popleft().result()

    def _describe(self, parts: list[Future[list[Prepared]]]) -> list[Described]:
        """In a thread: no database here."""
        batch = [item for part in parts for item in part.result()]
        good = [item for item in batch if item.pixels is not None]
        described = {item.image_id: Described(item.image_id, error=item.error) for item in batch}
        if good:
            vectors = self._extractor.describe(np.stack([item.pixels for item in good if item.pixels is not None]))
            finite = [bool(np.isfinite(vector).all()) for vector in vectors]
            for item, data, is_finite in zip(good, to_bytes(vectors), finite, strict=True):
                found = Described(item.image_id, data) if is_finite else Described(item.image_id, error=NOT_FINITE)
                described[item.image_id] = found
        return list(described.values())

    def _prepare_all(self, files: list[File]) -> list[Prepared]:
        return [self._prepare(image_id, name) for image_id, name in files]

    def _prepare(self, image_id: int, name: str) -> Prepared:
        """In a thread: no database here."""
        try:
            with default_storage.open(name) as file:
                data = file.read()
            picture = decode(data, min_side=self._extractor.min_side, limits=self._limits)
            return Prepared(image_id, self._extractor.prepare(picture.pixels))
        except LookalikeError as error:
            return Prepared(image_id, error=str(error))
        except FileNotFoundError:
            return Prepared(image_id, error="The file is missing.")
        except OSError:
            raise  # the disk, not the picture: the next run tries again
        except Exception as error:
            log.exception("Picture %s could not be prepared", image_id)
            return Prepared(image_id, error=f"{type(error).__name__}: {error}")


def _slices(items: list[File], size: int) -> list[list[File]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
