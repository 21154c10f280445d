"""Finding the nearest among many: our three tiers, and the libraries people would take instead, in one run.

Needs --descriptors (see manage.py make_descriptors), and for the other side --peers, an interpreter that has hnswlib,
usearch and ScaNN. One thread, one query at a time; every side is tuned on other queries than it is measured on, to the
same ann_recall@10 against exact search on the original descriptors, and the sides take turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.benchmarking import Job, Report
from search.benchmarking.ann_peers import PEERS, K, recall, timed
from search.benchmarking.ann_set import AnnSet
from search.benchmarking.ann_sides import Ours, sides

WARM_UP = 50


class Side(Protocol):
    facts: dict[str, Any]  # says, setting, tuned (recall on the tuning queries), bytes, build_s

    def round(self) -> tuple[float, list[float]]:
        """ann_recall@10 and the milliseconds of each measuring query."""

    def close(self) -> None: ...


class Peer:
    """Another library in an interpreter of its own, so that its threads and its memory do not meet ours."""

    def __init__(self, python: str, name: str, folder: Path, target: float) -> None:
        script = Path(__file__).with_name("ann_peers.py")
        self._child = subprocess.Popen(  # noqa: S603  (our own script)
            [python, str(script), str(folder), name, str(target)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"OMP_NUM_THREADS": "1"},
        )
        self.facts = self._answer()

    def round(self) -> tuple[float, list[float]]:
        assert self._child.stdin is not None
        self._child.stdin.write("round\n")
        self._child.stdin.flush()
        answer = self._answer()
        return answer["recall"], answer["ms"]

    def close(self) -> None:
        self._child.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError("The other library's process ended early; see above.")
        return dict(json.loads(line))


class Mine:
    """One of our pipelines, in this process."""

    def __init__(self, ours: Ours, data: AnnSet) -> None:
        self._search, self._data = ours.search, data
        self.facts = ours.facts
        timed(self._search, data.measuring[:WARM_UP])

    def round(self) -> tuple[float, list[float]]:
        found, times = timed(self._search, self._data.measuring)
        return recall(found, self._data.measuring_truth), times

    def close(self) -> None: ...


def measure(job: Job) -> Report:
    """Raises RuntimeError without --descriptors."""
    if not job.descriptors:
        raise RuntimeError("The benchmark ann needs --descriptors DIR; manage.py make_descriptors writes them.")
    data = AnnSet.of(Path(job.descriptors), job.gallery, job.queries)
    all_sides: list[Side] = [Mine(ours, data) for ours in sides(data, job.target, job.factories)]
    names = list(PEERS) if job.peers else []
    all_sides += [Peer(job.peers, name, data.folder, job.target) for name in names]
    try:
        rows = _rows(all_sides, _rounds(all_sides, job.rounds))
    finally:
        for side in all_sides:
            side.close()
    return Report(f"Nearest {K} of {len(data):,} descriptors of {data.dim} dimensions", rows, _notes(job, data))


def _rounds(every: Sequence[Side], count: int) -> list[list[tuple[float, list[float]]]]:
    found: list[list[tuple[float, list[float]]]] = [[] for _ in every]
    for number in range(1, count + 1):
        for place, side in enumerate(every):
            start = time.perf_counter()
            found[place].append(side.round())
            print(f"round {number}, {side.facts['says']}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return found


def _rows(every: Sequence[Side], rounds: list[list[tuple[float, list[float]]]]) -> list[dict[str, Any]]:
    rows = []
    for side, found in zip(every, rounds, strict=True):
        ms: NDArray[Any] = np.concatenate([times for _, times in found])
        rows.append(
            {
                "side": side.facts["says"],
                "setting": ", ".join(f"{name}={value}" for name, value in side.facts["setting"].items()),
                "ann_recall@10": round(found[0][0], 4),
                "median ms": round(float(np.median(ms)), 3),
                "p99 ms": round(float(np.percentile(ms, 99)), 3),
                "bytes a picture in memory": side.facts["bytes"],
                "build s": side.facts["build_s"],
            }
        )
    return sorted(rows, key=lambda row: float(row["median ms"]))


def _notes(job: Job, data: AnnSet) -> list[str]:
    return [
        f"{data.says}; {len(data.measuring)} measuring and {len(data.tuning)} tuning queries, crops of pictures that "
        "have none in the gallery",
        f"one thread, {job.rounds} rounds in turns; each side at its fastest setting that reached {job.target} on the "
        "tuning queries",
        "ours includes the fine tier: candidates re-scored with the float16 originals, memory-mapped from the disk, "
        "not counted as memory; the others hold in memory what they need",
        "build s: of the index alone, two threads, on whatever else the machine did then: not a comparison",
    ]
