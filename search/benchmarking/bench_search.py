"""A search request's time beyond decoding and the network, in the services and through the whole HTTP stack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from catalog.models import Collection, Image, Product
from search.benchmarking import Job, Report
from search.benchmarking.rows import collection_of
from search.builds import build_create, build_run, index_for
from search.embedding import embed_pending, extractor_for
from search.extraction.pooling import l2_normalise
from search.models import Embedding, FeatureModel
from search.services import search_by_picture
from search.types import Descriptors
from search.vectors import from_bytes, to_bytes

WARM_UP = 20
K = 20
NETWORK_PARTS = ("decode", "network")


def measure(job: Job) -> Report:
    collection = collection_of(job.pictures, "benchmark-search")
    index = index_for(collection)
    embed_pending(collection, index.feature_model)
    _fill(collection, index.feature_model, job.gallery)
    build = build_run(build_create(index).pk)
    if build.state != build.State.DONE:
        raise RuntimeError(f"The build failed: {build.error}")
    queries = [Path(path).read_bytes() for path in job.pictures]
    rows = []
    for name, search in {"services": _in_services(collection), "HTTP": _over_http(collection)}.items():
        timings = _timed(search, queries, job.queries)
        rows += [{"request through": name, "part": part, **_spread(values)} for part, values in timings.items()]
    notes = [
        f"{build.count} pictures, factory {build.factory}, {index.feature_model.name}, {job.queries} searches, k={K}",
        "descriptors beyond those of the files are mixtures of theirs: real enough to time, not to judge quality by",
        "beyond decode and network: all else that a request does; over HTTP also middleware, upload, log and JSON",
    ]
    return Report("Search: milliseconds a request", rows, notes)


def _fill(collection: Collection, model: FeatureModel, count: int, seed: int = 0) -> None:
    """Rows of products, pictures and embeddings up to ``count`` pictures; their files are those that are there."""
    stored = Embedding.objects.filter(feature_model=model, error="").values_list("vector", flat=True)
    base = np.stack([from_bytes(vector, extractor_for(model).dim) for vector in stored if vector is not None])
    images = list(Image.objects.filter(collection=collection))
    more = max(0, count - len(images))
    products = Product.objects.bulk_create(
        [
            Product(collection=collection, sku=f"{n:06}", title=f"Product {n}", price=n % 100, stock=n % 5)
            for n in range(more)
        ],
        batch_size=1000,
    )
    like = [images[n % len(images)] for n in range(more)]
    added = Image.objects.bulk_create([_copy(one, n, products[n]) for n, one in enumerate(like)], batch_size=1000)
    vectors = to_bytes(_mixtures(base, more, seed))
    Embedding.objects.bulk_create(
        [Embedding(image=image, feature_model=model, vector=row) for image, row in zip(added, vectors, strict=True)],
        batch_size=1000,
    )


def _copy(image: Image, number: int, product: Product) -> Image:
    fields = {name: getattr(image, name) for name in ("collection", "file", "size", "width", "height", "format")}
    return Image(product=product, sha256=f"{number:064x}", **fields)


def _mixtures(base: Descriptors, count: int, seed: int) -> Descriptors:
    """Each of three of ``base``, at random shares: overlapping, unlike isolated clusters, which flatter an index."""
    rng = np.random.default_rng(seed)
    picks, shares = rng.integers(0, len(base), (count, 3)), rng.dirichlet(np.ones(3), count).astype(np.float32)
    return l2_normalise(np.einsum("nk,nkd->nd", shares, base[picks]) if count else base[:0])


def _in_services(collection: Collection) -> Callable[[bytes], dict[str, float]]:
    def search(data: bytes) -> dict[str, float]:
        start = time.perf_counter()
        results = search_by_picture(collection, data, k=K)
        wall = 1000 * (time.perf_counter() - start)
        return _checked(results.timings_ms, len(results.hits)) | {"request": wall}

    return search


def _over_http(collection: Collection) -> Callable[[bytes], dict[str, float]]:
    client, address = Client(), reverse("api:search")

    def search(data: bytes) -> dict[str, float]:
        body = {"collection": collection.slug, "k": K, "image": SimpleUploadedFile("query.jpg", data, "image/jpeg")}
        start = time.perf_counter()
        response = client.post(address, body)
        wall = 1000 * (time.perf_counter() - start)
        if response.status_code != 200:
            raise RuntimeError(f"The search answered {response.status_code}: {response.content[:500]!r}")
        answer: dict[str, Any] = json.loads(response.content)
        return _checked(answer["timings_ms"], len(answer["hits"])) | {"request": wall}

    return search


def _checked(timings_ms: dict[str, float], hits: int) -> dict[str, float]:
    if hits != K:
        raise RuntimeError(f"The search found {hits} of {K}.")
    return dict(timings_ms)


def _timed(search: Callable[[bytes], dict[str, float]], queries: list[bytes], count: int) -> dict[str, list[float]]:
    """``count`` searches, after some to warm up: milliseconds of each part, and of all but decode and network."""
    for number in range(WARM_UP):
        search(queries[number % len(queries)])
    timings: dict[str, list[float]] = {"beyond decode and network": []}
    for number in range(count):
        one = search(queries[number % len(queries)])
        timings["beyond decode and network"].append(one["request"] - sum(one[part] for part in NETWORK_PARTS))
        for part, milliseconds in one.items():
            timings.setdefault(part, []).append(milliseconds)
    return timings


def _spread(values: list[float]) -> dict[str, float]:
    return {name: round(float(np.percentile(values, at)), 3) for name, at in (("median", 50), ("p95", 95), ("p99", 99))}
