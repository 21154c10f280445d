"""Fits the product branch: heads on one part of the products, their tuning on another, figures on a third."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.evaluation.comparison import compare
from search.extraction.attributes import AttributeBranch, Head
from search.training.branch_labels import (
    FEWEST_TO_FIT,
    FIT,
    MEASURE,
    TUNE,
    Chosen,
    LeftOut,
    Sample,
    targets,
)
from search.training.branch_measures import accuracy, average_precisions, mean, part, relevances
from search.training.errors import TooFewLabels
from search.training.regression import Fitted, fit, losses, temperature
from search.types import Ids

Report = Callable[[int, int, str], None]  # done, of how many, at what

PENALTIES = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6)  # L2, from strong to weak
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2)  # of the blocks beside the descriptor
NEARLY = 0.9  # share of the best gain in mAP that the smallest weight must bring
SURE = 2.0  # standard errors by which a head must tell more than frequencies do
MOST_TO_FIT = 20_000  # pictures
MOST_TO_RANK = 3_000  # pictures, all against all


@dataclass(frozen=True)
class Result:
    branch: AttributeBranch
    left_out: list[LeftOut]
    figures: dict[str, Any]


def fit_branch(
    sample: Sample, parts: NDArray[np.int64], chosen: Sequence[Chosen], report: Report, seed: int = 0
) -> Result:
    """``parts``: FIT, TUNE or MEASURE of each picture. ``report`` may raise to stop. Raises TooFewLabels."""
    pieces = [part(sample, _some(np.flatnonzero(parts == which), most, seed)) for which, most in _SIZES]
    fitting, tuning, measuring = pieces
    heads, left_out = [], []
    for at, one in enumerate(chosen):
        report(at, len(chosen) + 2, one.attribute)
        head = fit_head(one, fitting, tuning)
        if isinstance(head, LeftOut):
            left_out.append(head)
        else:
            heads.append(head)
    if not heads:
        raise TooFewLabels(
            found="no attribute or category that the pictures tell",
            needed="two values of eight products each",
            cure="State categories or attributes of more products.",
        )
    report(len(chosen), len(chosen) + 2, "weight")
    weight, tried = tune_weight(heads, tuning)
    branch = AttributeBranch(sample.x.shape[1], tuple(replace(head, weight=weight) for head in heads))
    report(len(chosen) + 1, len(chosen) + 2, "measuring")
    return Result(branch, left_out, {"weight": weight, "tried": tried, **measure(branch, measuring), **_counts(pieces)})


_SIZES = ((FIT, MOST_TO_FIT), (TUNE, MOST_TO_RANK), (MEASURE, MOST_TO_RANK))


def _some(rows: Ids, most: int, seed: int) -> Ids:
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def _counts(pieces: Sequence[Sample]) -> dict[str, Any]:
    names = ("fitted", "tuned", "measured")
    counts = {name: len(np.unique(piece.products)) for name, piece in zip(names, pieces, strict=True)}
    return {"products": counts, "pictures": {n: len(p.x) for n, p in zip(names, pieces, strict=True)}}


def fit_head(chosen: Chosen, fitting: Sample, tuning: Sample) -> Head | LeftOut:
    """One head: fitted along PENALTIES, of which the held-out loss chooses one, with its temperature.

    Left out where held-out pictures tell no more of it than the values' frequencies do.
    """
    fit_rows, tune_rows = (_stating(piece, chosen) for piece in (fitting, tuning))
    chosen = _with_enough(chosen, fit_rows)
    if len(chosen.values) < 2 or not len(tune_rows.x):
        return LeftOut(chosen.attribute, "few_values")
    wanted, held = (targets(chosen, piece.stated[chosen.attribute]) for piece in (fit_rows, tune_rows))
    weights, held_weights = fit_rows.weights(), tune_rows.weights()
    best: tuple[float, Fitted, float] | None = None
    start: Fitted | None = None
    for penalty in PENALTIES:
        start = fit(fit_rows.x, wanted, weights, penalty, exclusive=chosen.exclusive, start=start)
        z = start.logits(tune_rows.x)
        heat = temperature(z, held, held_weights, chosen.exclusive)
        loss = float(held_weights @ losses(z / np.float32(heat), held, chosen.exclusive))
        if best is not None and loss > best[0]:
            break  # weaker ones fit the noise
        best = loss, start, heat
    assert best is not None
    _, fitted, heat = best
    shares = np.asarray(weights @ wanted / weights.sum(), np.float32)
    if not _tells(fitted.logits(tune_rows.x) / np.float32(heat), held, held_weights, shares, chosen.exclusive):
        return LeftOut(chosen.attribute, "no_better")
    others = ("",) if chosen.exclusive else ()
    facts = (chosen.attribute, (*chosen.values, *others), chosen.exclusive, heat, 1.0)
    return Head(*facts, shares, fitted.matrix, fitted.bias)


def _stating(sample: Sample, chosen: Chosen) -> Sample:
    return part(sample, np.flatnonzero([bool(given) for given in sample.stated[chosen.attribute]]))


def _with_enough(chosen: Chosen, sample: Sample) -> Chosen:
    """Without values that hardly any product of the fitting part has."""
    found = targets(chosen, sample.stated[chosen.attribute])
    enough = {
        value
        for column, value in enumerate(chosen.values)
        if len(np.unique(sample.products[found[:, column] > 0])) >= FEWEST_TO_FIT
    }
    return replace(chosen, values=tuple(value for value in chosen.values if value in enough))


def _tells(
    z: NDArray[np.float32],
    held: NDArray[np.float32],
    weights: NDArray[np.float64],
    shares: NDArray[np.float32],
    exclusive: bool,
) -> bool:
    p = np.clip(shares, 1e-3, 1 - 1e-3)
    habit = np.log(p) if exclusive else np.log(p / (1 - p))
    gains = losses(np.broadcast_to(habit, z.shape), held, exclusive) - losses(z, held, exclusive)
    share = weights / weights.sum()
    gain = float(share @ gains)
    error = float(np.sqrt(share**2 @ (gains - gain) ** 2))
    return gain > SURE * error


def tune_weight(heads: Sequence[Head], tuning: Sample) -> tuple[float, list[list[float]]]:
    """One weight for all heads: the smallest that brings nearly all of the best gain in mAP over the attributes.

    More would go on trading what pictures look like for what they are called. Returns it, and [weight, mAP] of all.
    """
    alike, same = grams(heads, tuning)
    by = relevances(tuning, [head.attribute for head in heads])
    tried: list[list[float]] = []
    for weight in WEIGHTS:
        found = [mean(average_precisions(alike + np.float32(weight**2) * same, one)) for one in by]
        scored = [value for value in found if value is not None]
        tried.append([weight, float(np.mean(scored)) if scored else 0.0])
    return smallest(tried), tried


def smallest(tried: Sequence[Sequence[float]]) -> float:
    """Of [weight, mAP], the first weight at NEARLY of the way from the first mAP to the best."""
    none, best = tried[0][1], max(value for _, value in tried)
    return next(weight for weight, value in tried if value >= none + NEARLY * (best - none))


def grams(heads: Sequence[Head], sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, n) inner products of the descriptors, and of all heads' blocks: a + weight² b orders as ``apply`` does."""
    blocks = [head.block(head.probabilities(sample.x)) for head in heads]
    same = np.asarray(sum(block @ block.T for block in blocks), np.float32)
    return np.asarray(sample.x @ sample.x.T, np.float32), same


def measure(branch: AttributeBranch, measuring: Sample) -> dict[str, Any]:
    """Accuracies, and mAP without and with the branch, leave-one-out among products neither fitted nor tuned on."""
    x, with_branch = measuring.x, branch.apply(measuring.x)
    before, after = np.asarray(x @ x.T), np.asarray(with_branch @ with_branch.T)
    rankings = []
    for one in relevances(measuring, [head.attribute for head in branch.heads]):
        found = compare(average_precisions(before, one), average_precisions(after, one))
        row = {"without": found.first, "with": found.second, "low": found.low, "high": found.high}
        rankings.append({"by": one.name, "queries": len(found.differences), **row})
    heads = [
        {**{k: v for k, v in head.facts().items() if k != "weight"}, **accuracy(head, measuring)}
        for head in branch.heads
    ]
    return {"heads": heads, "mAP": rankings}
