"""The comparison of index libraries, tiny: its truths are exact, its sides are builds that serve."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from search.benchmarking import Job, ann_set, bench_ann, bench_scale, crops
from search.benchmarking.ann_peers import recall, timed
from search.benchmarking.ann_set import AnnSet, exact
from search.benchmarking.ann_sides import build, sides
from search.benchmarking.memory import Watch, status
from search.indexes.saved import SavedBuild
from tests.search.indexes.descriptors import clustered

DIM, CROPS, PICTURES = 32, 6, 400


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What make_descriptors leaves, of known geometry."""
    folder = tmp_path_factory.mktemp("descriptors")
    plan = crops.Plan(PICTURES, CROPS, DIM, "0" * 64)
    x = clustered(PICTURES * CROPS, DIM, seed=1).astype("<f2")
    held_out = plan.held_out * CROPS
    x[:held_out].tofile(folder / crops.QUERIES)
    x[held_out:].tofile(folder / crops.BASE)
    (folder / crops.STATE).write_text(json.dumps(vars(plan) | {"done": PICTURES}))
    return folder


@pytest.fixture
def data(source, monkeypatch) -> AnnSet:
    monkeypatch.setattr(ann_set, "DIM", 16)
    monkeypatch.setattr(ann_set, "TUNING", 20)
    return AnnSet.of(source, 2000, 20)


def test_the_set_is_projected_split_and_searched_exactly(data) -> None:
    assert (len(data), data.dim, len(data.tuning), len(data.measuring)) == (2000, 16, 20, 20)
    x = np.asarray(data.base, np.float32)
    brute = np.argsort(-(data.measuring @ x.T), axis=1, kind="stable")[:, :10]
    assert (data.measuring_truth == brute).all()
    assert not {tuple(row) for row in data.tuning.tolist()} & {tuple(row) for row in data.measuring.tolist()}


def test_exact_search_by_blocks_is_exact_search(data, monkeypatch) -> None:
    monkeypatch.setattr(ann_set, "BLOCK", 300)
    assert (exact(data.base, data.measuring) == data.measuring_truth).all()


def test_too_few_descriptors_are_said_to_be_too_few(source) -> None:
    with pytest.raises(RuntimeError, match="too few"):
        AnnSet.of(source, 10_000, 20)


def test_our_sides_reach_the_target_on_queries_they_were_not_tuned_on(data) -> None:
    (flat,) = sides(data, 0.95, ["Flat"])
    found, ms = timed(flat.search, data.measuring)
    assert recall(found, data.measuring_truth) == 1.0
    assert len(ms) == 20
    assert flat.facts["bytes"] == pytest.approx(4 * 16 + 8, abs=9)
    (codes,) = sides(data, 0.95, ["PQ8x4"])
    found, _ = timed(codes.search, data.measuring)
    assert recall(found, data.measuring_truth) > 0.9
    assert codes.facts["setting"]["fine_depth"] > 10


def test_a_build_is_one_that_the_site_opens(data, tmp_path) -> None:
    build(data.base, "IVF8,SQ8", tmp_path / "build")
    saved = SavedBuild.open(tmp_path / "build")
    assert saved.manifest.count == len(data)
    assert saved.originals.vectors(np.array([1, 2000])) == pytest.approx(np.asarray(data.base[[0, -1]], np.float32))


def test_the_report(source, data) -> None:
    job = Job(pictures=[], rounds=2, gallery=2000, queries=20, descriptors=str(source), factories=["Flat", "SQ8"])
    report = bench_ann.measure(job)
    assert {row["side"] for row in report.rows} == {"ours, Flat and fine tier", "ours, SQ8 and fine tier"}
    assert all(row["ann_recall@10"] >= 0.95 for row in report.rows)
    with pytest.raises(RuntimeError, match="--descriptors"):
        bench_ann.measure(Job(pictures=[]))


def test_sizes_are_tenfold() -> None:
    assert bench_scale.sizes(10_000_000) == [10_000, 100_000, 1_000_000, 10_000_000]
    assert bench_scale.sizes(20_000) == [10_000, 20_000]
    assert bench_scale.sizes(500) == [500]


def test_more_are_made_of_what_is_there(data) -> None:
    thinned = np.load(bench_scale.base_of(data, 500))
    rows = {row.tobytes() for row in np.asarray(data.base)}
    assert all(row.tobytes() in rows for row in thinned)
    grown = np.load(bench_scale.base_of(data, 5000)).astype(np.float32)
    assert len(np.unique(grown, axis=0)) == 5000
    assert np.linalg.norm(grown, axis=1) == pytest.approx(np.ones(5000), abs=2e-3)
    nearest = (grown[2000:] @ np.asarray(data.base, np.float32).T).max(axis=1)
    assert np.median(nearest) > 0.7


def test_memory_of_a_process_is_kept_when_it_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    with Watch(child.pid) as watch:
        time.sleep(1)
    child.wait()
    assert watch.highest["rss"] > 1


def test_memory_is_watched() -> None:
    with Watch() as watch:
        held = np.ones(40_000_000)
        while watch.highest.get("anon", 0) < status()["anon"] - 50:
            pass
    assert watch.highest["anon"] > held.nbytes / 2**20
