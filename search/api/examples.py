"""The example bodies of the OpenAPI schema. A test holds each of them to the schema it illustrates."""

from __future__ import annotations

from typing import Any

_WHEN = "2026-03-02T09:30:00Z"
_MEDIA = "https://lookalike.example/media"

PICTURE: dict[str, Any] = {
    "id": 4711,
    "url": f"{_MEDIA}/images/3f/3f9a.jpg",
    "thumbnail_url": f"{_MEDIA}/thumbnails/3f/3f9a.webp",
    "width": 1200,
    "height": 900,
}
IMAGE = {
    **PICTURE,
    "product": "LAMP-12",
    "role": "gallery",
    "format": "JPEG",
    "size": 183204,
    "sha256": "3f9a" * 16,
    "source": "lamps/12-front.jpg",
    "created": _WHEN,
}
_PRODUCT_FIELDS = {
    "title": "Desk lamp, brass",
    "category": "lamps/desk",
    "brand": "Lumen",
    "price": "49.90",
    "currency": "EUR",
    "stock": 7,
    "url": "https://shop.example/lamp-12",
    "attributes": {"color": "brass", "watts": 9, "dimmable": True},
}
SEARCHED_PRODUCT = {"sku": "LAMP-12", **_PRODUCT_FIELDS}
PRODUCT_BODY = dict(_PRODUCT_FIELDS)
PRODUCT_PATCH = {"price": "39.90", "stock": 12}
PRODUCT = {**SEARCHED_PRODUCT, "images": [PICTURE], "created": _WHEN, "updated": _WHEN}

COLLECTION = {
    "slug": "lamps",
    "name": "Lamps",
    "description": "",
    "is_public": True,
    "products": 1280,
    "images": 5210,
    "created": _WHEN,
}
COLLECTION_DETAIL = {
    **COLLECTION,
    "facets": {
        "categories": [{"value": "lamps/desk", "count": 310}, {"value": "lamps/floor", "count": 122}],
        "attributes": {"color": [{"value": "brass", "count": 57}]},
        "price": {"min": "9.90", "max": "890.00"},
        "has_stock": True,
    },
}

SEARCH = {
    "collection": "lamps",
    "image_id": 4711,
    "k": 10,
    "box": [120, 40, 600, 700],
    "category": ["lamps/desk"],
    "price_max": "100.00",
    "in_stock": True,
    "attributes": {"color": ["brass", "black"]},
    "like": [4712, 4720],
    "unlike": [4735],
    "examples": [{"url": "https://shop.example/brass.jpg", "weight": 0.5}],
    "expand": {"method": "alpha", "k": 5, "alpha": 3},
    "min_probability": 0.5,
}
SEARCH_FORM = {"image": "(the file)", "collection": "lamps", "k": 10, "box": [120, 40, 600, 700]}
EXPLAIN = {"collection": "lamps", "image_id": 4711, "hit": 4720}
EXPLAIN_FORM = {"image": "(the file)", "collection": "lamps", "hit": 4720}
HEAT_MAP = {**EXPLAIN, "picture": "hit", "side": 512}
HEAT_MAP_FORM = {**EXPLAIN_FORM, "picture": "query"}
_HEAT = {
    "width": 1200,
    "height": 900,
    "box": [206.25, 56.25, 993.75, 843.75],
    "values": [[0.09, 0.31], [0.12, 0.28]],
    "where": "right_half",
}
EXPLANATION = {
    "method": "maps",
    "score": 0.8,
    "attributes": 0.0,
    "centring": [0.0, 0.0],
    "query": _HEAT,
    "hit": {**_HEAT, "values": [[0.2, 0.2], [0.21, 0.19]], "where": ""},
}
RESULTS = {
    "collection": "lamps",
    "index": "main",
    "build": 31,
    "has_more": True,
    "cut_off": 0.5,
    "cached": False,
    "timings_ms": {"decode": 6.1, "network": 4.2, "coarse": 0.6, "fine": 0.4, "database": 1.9, "total": 13.4},
    "tiers": [
        {"name": "coarse", "ms": 0.6, "in": 5210, "out": 200, "moved": 0, "dropped": 5010},
        {"name": "fine", "ms": 0.4, "in": 200, "out": 200, "moved": 12, "dropped": 0},
        {"name": "rules", "ms": 0.1, "in": 200, "out": 140, "moved": 9, "dropped": 60},
    ],
    "looks_like": [
        {"attribute": "category", "value": "lamps/desk", "confidence": 0.92},
        {"attribute": "color", "value": "brass", "confidence": 0.81},
    ],
    "hits": [
        {
            "rank": 1,
            "score": 0.9312,
            "probability": 0.97,
            "image": PICTURE,
            "product": SEARCHED_PRODUCT,
            "reasons": [{"rule": "one_per_product", "text": "best of 3 pictures of this product"}],
        }
    ],
}

JOB = {
    "id": 31,
    "state": "running",
    "done": 1200,
    "total": 5210,
    "percent": 23,
    "stage": "reading",
    "error": "",
    "cancel_requested": False,
    "created": _WHEN,
    "started": _WHEN,
    "finished": None,
    "seconds": 3.2,
}
IMPORT = {**JOB, "source": "lamps.zip", "added": 1180, "known": 18, "bad": 2, "report_url": None}
INDEX = {
    "name": "main",
    "is_default": True,
    "feature_model": "color_gradient",
    "engine": "faiss",
    "preset": "",
    "factory": "",
    "search_params": {},
    "fine_depth": 200,
    "rules_depth": 200,
    "rules": [{"rule": "in_stock_first"}],
    "expansion": {"method": "alpha", "k": 5, "alpha": 3.0},
    "dba_neighbours": 0,
    "cut_off": 0.5,
    "calibration": {
        "kind": "labels",
        "parameters": {"knots": [0.41, 0.66, 0.93], "probabilities": [0.02, 0.5, 0.99]},
        "quality": {"curve": "isotonic", "queries": 400, "hits": 40000, "brier": 0.114, "ece": 0.009},
        "fingerprint": "9c2e" * 16,
        "made": _WHEN,
        "benchmark": "angles",
        "label_version": 3,
    },
    "tuning": {},
    "rebuild_share": 0.1,
    "active_build": 30,
    "created": _WHEN,
}
BUILD_START = {"index": "main", "activate": True}
BUILD = {
    **JOB,
    "index": "main",
    "is_active": False,
    "engine": "faiss",
    "factory": "IVF256,Flat",
    "fingerprint": "9c2e" * 16,
    "count": 5210,
    "size_bytes": 10670080,
    "code_bytes": 10711040,
    "ann_recall": 0.991,
    "timings": {"train": 1.2, "add": 0.8},
}
BENCHMARK = {"name": "angles", "relevance": "product", "version": 3, "queries": 60, "created": _WHEN}
EVALUATION_START = {"benchmark": "angles", "index": "main", "metrics": ["mAP", "recall@10"]}
EVALUATION = {
    **JOB,
    "state": "done",
    "percent": 100,
    "finished": _WHEN,
    "benchmark": "angles",
    "index": "main",
    "build": 30,
    "metrics": ["mAP", "recall@10"],
    "depth": 0,
    "with_rules": False,
    "parameters": {"protocol": "medium"},
    "fingerprint": "9c2e" * 16,
    "label_version": 3,
    "results": {"mAP": 0.71, "recall@10": 0.83},
    "queries_scored": 58,
    "queries_skipped": 2,
}
QUERY_RESULT = {
    "id": 902,
    "query": "LAMP-12/front",
    "image": 4711,
    "average_precision": 0.83,
    "scores": {"recall@10": 1.0},
    "ranking": [{"image": 4712, "score": 0.91, "grade": "easy"}],
}
HEALTH = {
    "status": "ok",
    "versions": {"lookalike": "0.1.0", "python": "3.11.2", "django": "5.2.1", "faiss": "1.12.0"},
    "database": {"status": "ok", "engine": "sqlite", "ms": 0.4},
    "cache": {"status": "ok", "engine": "LocMemCache", "ms": 0.1},
    "work": {"imports": 0, "builds": 1, "evaluations": 0},
    "query_cache": [
        {
            "collection": "lamps",
            "index": "main",
            "hits": 812,
            "misses": 240,
            "descriptor_hits": 90,
            "descriptor_misses": 240,
            "since": "2026-03-01",
        }
    ],
}
