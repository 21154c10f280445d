"""The files of TREC, which trec_eval, ranx and others read: what was found (run) and what is true (qrels).

The score column holds places, the best the highest: a reader that sorts by score again, and breaks ties in its own
way, gets our order. Names lose their spaces by percent-encoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TextIO
from urllib.parse import quote

# Above zero: relevant. Junk is below zero, as in TREC; our runs hold none of it.
RELEVANCE: Mapping[str, int] = {"easy": 2, "hard": 1, "negative": 0, "distractor": 0, "junk": -1}


def key(name: object) -> str:
    """A name as one word of ASCII, from which it can be read back."""
    return quote(str(name), safe="/.,;:+=@~()[]") or "_"


def write_run(file: TextIO, query: object, documents: Iterable[object], tag: str) -> None:
    """Append one query's ranking, best first: ``query Q0 document rank score tag``."""
    ranking = list(documents)
    for rank, document in enumerate(ranking, start=1):
        file.write(f"{key(query)} Q0 {key(document)} {rank} {len(ranking) - rank + 1} {key(tag)}\n")


def write_qrels(file: TextIO, query: object, relevance: Mapping[str, int]) -> None:
    """Append one query's ground truth: ``query 0 document relevance``."""
    for document, value in relevance.items():
        file.write(f"{key(query)} 0 {key(document)} {value}\n")
