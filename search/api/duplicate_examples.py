"""The example bodies of the duplicates' part of the OpenAPI schema."""

from __future__ import annotations

from typing import Any

from search.api.examples import IMAGE, JOB

SCAN: dict[str, Any] = {
    **JOB,
    "feature_model": "color_gradient",
    "max_hash_distance": 10,
    "min_score": 0.8,
    "found": 12,
    "dismissed": 3,
}
SCAN_START = {"index": "main"}
GROUP: dict[str, Any] = {
    "id": 31,
    "kind": "near",
    "state": "open",
    "score": 0.9134,
    "pictures": [
        {"image": IMAGE, "score": None, "hash_distance": None},
        {"image": {**IMAGE, "id": 5120, "sha256": "7b1c" * 16}, "score": 0.9134, "hash_distance": 2},
    ],
    "created": "2026-03-02T09:30:00Z",
    "decided": None,
}
DECISION = {"decision": "merge", "keep": 4711}
