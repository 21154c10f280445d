"""Our metrics beside scikit-learn's, ranx's and torchmetrics': 1,000 random cases with ties, junk and absent positives.

Where the definitions agree, the figures do to 1e-9. Where they do not, the test holds the formula that leads from one
to the other, so that a figure of ours can be compared with one from a paper that used those.

=============  ====================================================================================================
ties           ours: the smaller id first. scikit-learn: one threshold. ranx, torchmetrics: as their sort leaves them.
absent         positives that did not come back. Ours, ranx: they stay in R. scikit-learn and torchmetrics cannot know
               them in AP: ours = theirs * found / R.
AP@K           ours divides by min(K, R), ranx by R, torchmetrics by the hits among the first K.
junk           only ours knows it; the others are given the ranking without it.
arithmetic     torchmetrics computes in float32: its counts are exact, its AP is also run in float64 here.
=============  ====================================================================================================
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from search.evaluation import Ranking, Truth, evaluate
from tests.search.evaluation import oracle

CASES = 1000
PICTURES = 120
KS = (1, 5, 10, 200)
NAMES = ["AP", *(f"{base}@{k}" for k in KS for base in ("AP", "recall", "precision", "hit_rate"))]
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Case:
    """What an index returned, what is true, the cleaned ranking, and what ours says of it."""

    ids: np.ndarray
    scores: np.ndarray
    truth: Truth
    ranking: list[int]
    ours: dict[str, float]

    @property
    def positives(self) -> set[int]:
        return set(self.truth.positives.tolist())

    @property
    def relevant(self) -> np.ndarray:
        """Of each place of the cleaned ranking, whether it is a hit."""
        return np.isin(self.ranking, self.truth.positives)

    @property
    def strict(self) -> np.ndarray:
        """Scores above zero without ties that keep the order of the cleaned ranking."""
        return np.arange(len(self.ranking), 0, -1) / (len(self.ranking) + 1)

    def found(self, k: int | None = None) -> int:
        return int(self.relevant[:k].sum())


@cache
def cases() -> tuple[Case, ...]:
    return tuple(drawn(np.random.default_rng(500)))


def drawn(rng: np.random.Generator) -> Iterator[Case]:
    made = 0
    while made < CASES:
        size = int(rng.integers(5, 80))
        ids = rng.permutation(PICTURES)[:size].astype(np.int64)
        scores = rng.integers(0, max(2, size // 3), size) / 16
        marks = rng.permutation(PICTURES)
        positives, junk = np.sort(marks[: rng.integers(1, 30)]), np.sort(marks[30 : 30 + rng.integers(0, 20)])
        truth = Truth(positives.astype(np.int64), junk.astype(np.int64))
        ranking = oracle.clean(ids.tolist(), scores.tolist(), set(junk.tolist()))
        if ranking:
            made += 1
            report = evaluate({0: Ranking(ids, scores)}, {0: truth}, NAMES)
            yield Case(ids, scores, truth, ranking, report.scores[0])


def test_the_cases_hold_what_they_are_for() -> None:
    assert len(cases()) == CASES
    assert sum(len(set(case.scores.tolist())) < len(case.scores) for case in cases()) > 0.9 * CASES
    assert sum(bool(np.isin(case.ids, case.truth.ignored).any()) for case in cases()) > 0.8 * CASES
    assert sum(case.found() < case.truth.relevant for case in cases()) > 0.9 * CASES
    assert sum(case.found() == 0 for case in cases()) > 0


def test_scikit_learn_sees_only_what_came_back() -> None:
    from sklearn.metrics import average_precision_score

    for case in cases():
        theirs = average_precision_score(case.relevant, case.strict) if case.found() else 0.0
        assert abs(case.ours["AP"] - theirs * case.found() / case.truth.relevant) <= TOLERANCE


def test_scikit_learn_where_every_positive_came_back() -> None:
    """The same definition: the plain figure, no factor."""
    from sklearn.metrics import average_precision_score

    for case in cases():
        if not case.found():
            continue
        returned = Truth(np.intersect1d(case.truth.positives, case.ids), case.truth.ignored)
        ours = evaluate({0: Ranking(case.ids, case.scores)}, {0: returned}, ["AP"]).scores[0]["AP"]
        assert abs(ours - average_precision_score(case.relevant, case.strict)) <= TOLERANCE


def test_scikit_learn_takes_equal_scores_as_one_threshold() -> None:
    """Σ over distinct scores of (hits of that score) * (precision after the last of them) / found."""
    from sklearn.metrics import average_precision_score

    different = 0
    for case in cases():
        if not case.found():
            continue
        score_of = dict(zip(case.ids.tolist(), case.scores.tolist(), strict=True))
        scores = np.array([score_of[i] for i in case.ranking])
        ends = np.flatnonzero(np.append(scores[:-1] != scores[1:], True))
        hits = np.cumsum(case.relevant)[ends]
        formula = float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / case.found())
        theirs = average_precision_score(case.relevant, scores)
        assert abs(theirs - formula) <= TOLERANCE
        different += abs(theirs - case.ours["AP"] * case.truth.relevant / case.found()) > 1e-6
    assert different > 0.5 * CASES  # so the order of ties matters, and has to be settled


def test_ranx() -> None:
    import ranx

    run = {str(n): dict(zip(map(str, c.ranking), c.strict.tolist(), strict=True)) for n, c in enumerate(cases())}
    qrels = {str(n): dict.fromkeys(map(str, c.truth.positives.tolist()), 1) for n, c in enumerate(cases())}
    names = {"map": "AP", **{f"map@{k}": f"AP@{k}" for k in KS}}
    for base in ("recall", "precision", "hit_rate"):
        names |= {f"{base}@{k}": f"{base}@{k}" for k in KS}
    theirs = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(run), list(names), return_mean=False)
    order = list(ranx.Run(run).keys())
    for name, ours in names.items():
        for place, key in enumerate(order):
            case, k = cases()[int(key)], int(name.partition("@")[2] or 0)
            factor = case.truth.relevant / min(k, case.truth.relevant) if name.startswith("map@") else 1
            assert abs(case.ours[ours] - theirs[name][place] * factor) <= TOLERANCE, (name, key)


def torch_rows(case: Case) -> tuple[object, object]:
    """Scores and hits with the absent positives at score 0, which torchmetrics never takes for found."""
    import torch

    absent = case.truth.relevant - case.found()
    preds = np.concatenate([case.strict, np.zeros(absent)])
    target = np.concatenate([case.relevant, np.ones(absent, bool)])
    return torch.from_numpy(preds), torch.from_numpy(target)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_counts() -> None:
    """Its quotients are float32: the counts in them are whole, and give ours to the last bit."""
    from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_precision, retrieval_recall

    for case in cases():
        preds, target = torch_rows(case)
        for k in (1, 5, 10):
            recall = retrieval_recall(preds, target, top_k=k).item()
            found = recall * case.truth.relevant
            assert abs(found - round(found)) < 1e-4
            assert abs(case.ours[f"recall@{k}"] - round(found) / case.truth.relevant) <= TOLERANCE
            precision = retrieval_precision(preds, target, top_k=k).item() * k
            assert abs(precision - round(precision)) < 1e-4
            assert abs(case.ours[f"precision@{k}"] - round(precision) / k) <= TOLERANCE
            if len(case.ranking) >= k:  # else the absent positives at the end would count as hits there
                assert retrieval_hit_rate(preds, target, top_k=k).item() == case.ours[f"hit_rate@{k}"]


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_ap(monkeypatch: pytest.MonkeyPatch) -> None:
    """It divides by the hits among the first K: the factor is found / min(K, R). In float64 it agrees to 1e-9."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    def theirs(case: Case, k: int | None) -> float:
        return float(retrieval_average_precision(*torch_rows(case), top_k=k))

    rounded = {(n, k): theirs(case, k) for n, case in enumerate(cases()) for k in (None, 5, 10)}
    module = sys.modules[retrieval_average_precision.__module__]
    double = types.SimpleNamespace(**{**vars(torch), "float32": torch.float64})
    monkeypatch.setattr(module, "torch", double)
    for n, case in enumerate(cases()):
        for k in (None, 5, 10):
            hits = case.found(k)
            divisor = case.truth.relevant if k is None else min(k, case.truth.relevant)
            value = theirs(case, k)
            assert abs(rounded[n, k] - value) < 1e-6
            assert abs(case.ours[f"AP@{k}" if k else "AP"] - value * hits / divisor) <= TOLERANCE, (n, k)
