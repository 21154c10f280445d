"""Augmented batches, made by threads while the network works on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from search.training.augment import apply, draw, generator
from search.training.pictures import Pictures
from search.training.samples import Labels
from search.training.sampling import ClassBalanced

AHEAD = 3  # batches
Batch = tuple[Tensor, Tensor]  # uint8 (n, 3, side, side), int64 (n,)


class Batches:
    """The batch of each step from ``sampler`` on. ``places``: of each sample in ``pictures``."""

    def __init__(
        self,
        pictures: Pictures,
        places: Labels,
        labels: Labels,
        side: int,
        strength: float,
        seed: int,
        threads: int = 2,
    ) -> None:
        self._pictures, self._places, self._labels = pictures, places, labels
        self._side, self._strength, self._seed, self._threads = side, strength, seed, threads

    def after(self, sampler: ClassBalanced, last: int) -> Generator[Batch, None, None]:
        """The batches up to step ``last``. The step of a batch is the sampler's position before it was drawn."""
        waiting: deque[tuple[Labels, list[Future[Tensor]]]] = deque()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="augment")
        try:
            while sampler.position < last or waiting:
                while sampler.position < last and len(waiting) < AHEAD:
                    step, chosen = sampler.position, sampler.batch()
                    waiting.append((chosen, self._started(pool, step, chosen.tolist())))
                chosen, pictures = waiting.popleft()
                yield torch.stack([one.result() for one in pictures]), torch.from_numpy(self._labels[chosen])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _started(self, pool: ThreadPoolExecutor, step: int, chosen: Sequence[int]) -> list[Future[Tensor]]:
        return [pool.submit(self._picture, step, place, sample) for place, sample in enumerate(chosen)]

    def _picture(self, step: int, place: int, sample: int) -> Tensor:
        how = draw(generator(self._seed, step, place), self._pictures.side, self._side, self._strength)
        return apply(self._pictures[int(self._places[sample])], how, self._side)
