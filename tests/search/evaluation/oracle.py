"""The definitions once more, in plain loops without NumPy: slow, and written from the words alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def clean(ids: Iterable[int], scores: Iterable[float], ignored: Collection[int]) -> list[int]:
    """Best score first, the smaller id first among equals; no padding, no ignored picture."""
    pairs = [(i, s) for i, s in zip(ids, scores, strict=True) if i >= 0]
    return [i for i, _ in sorted(pairs, key=lambda pair: (-pair[1], pair[0])) if i not in ignored]


def average_precision(ranking: list[int], positives: Collection[int], k: int | None = None) -> float:
    found, total = 0, 0.0
    for rank, picture in enumerate(ranking if k is None else ranking[:k], start=1):
        if picture in positives:
            found += 1
            total += found / rank
    return total / (len(positives) if k is None else min(k, len(positives)))


def trapezoid(ranking: list[int], positives: Collection[int]) -> float:
    """The area under precision over recall, corners joined by straight lines: one step of 1/R a hit."""
    area, found, old_recall, old_precision = 0.0, 0, 0.0, 1.0
    for rank, picture in enumerate(ranking, start=1):
        found += picture in positives
        recall, precision = found / len(positives), found / rank
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def recall(ranking: list[int], positives: Collection[int], k: int) -> float:
    return sum(picture in positives for picture in ranking[:k]) / len(positives)


def precision(ranking: list[int], positives: Collection[int], k: int) -> float:
    return sum(picture in positives for picture in ranking[:k]) / k


def hit_rate(ranking: list[int], positives: Collection[int], k: int) -> float:
    return 1.0 if any(picture in positives for picture in ranking[:k]) else 0.0


def ann_recall(ranking: list[int], exact: list[int], k: int) -> float:
    return len(set(ranking[:k]) & set(exact[:k])) / min(k, len(exact))
