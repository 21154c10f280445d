"""A search request's time: in the services, and over HTTP from request to answer, new pictures and hot ones.

With --descriptors the gallery is real: what make_descriptors wrote, of the network that --weights names.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from django.conf import settings
from django.core.cache import caches

from catalog.models import Collection, Image, Product
from search.benchmarking import Job, Report
from search.benchmarking.crops import BASE, STATE, crop_boxes
from search.benchmarking.http_site import Site, form, started
from search.benchmarking.rows import collection_of
from search.builds import build_create, build_run, index_for
from search.embedding import embed_pending, extractor_for
from search.extraction.pooling import l2_normalise
from search.models import ApiKey, Embedding, FeatureModel
from search.services import search_by_picture
from search.types import Descriptors
from search.vectors import from_bytes, to_bytes

WARM_UP = 20
K = 20
HOT = 10  # pictures that are asked for again and again
ZIPF = 1.0  # the picture of rank r is asked for 1 / r ** ZIPF times as often as the first
NETWORK_PARTS = ("decode", "network")

Row = dict[str, float]
Search = Callable[[bytes], Row]


def measure(job: Job) -> Report:
    """Raises RuntimeError where --descriptors are of another network than --weights."""
    if job.weights:
        name = Path(job.weights[0]).stem
        FeatureModel.objects.create(name=name, backbone="onnx", weights=job.weights[0], is_default=True)
    collection = collection_of(job.pictures, "benchmark-search")
    index = index_for(collection)
    embed_pending(collection, index.feature_model)
    _fill(collection, index.feature_model, job.gallery, job.descriptors)
    _say("building")
    build = build_run(build_create(index).pk)
    if build.state != build.State.DONE:
        raise RuntimeError(f"The build failed: {build.error}")
    queries = _different(job.pictures, job.queries + WARM_UP)
    rows = [_row("services, each picture new", _in_services(collection, queries))]
    rows += _over_http(collection, queries)
    notes = [
        f"{build.count} pictures, factory {build.factory}, {index.feature_model.name}, {job.queries} searches, k={K}",
        "real descriptors"
        if job.descriptors
        else "descriptors beyond those of the files are mixtures of theirs: real "
        "enough to time, not to judge quality by",
        "HTTP: gunicorn as the demo starts it, one connection, one request at a time, API key, a JPEG file sent, each "
        "answer read to its end; caches in the process's memory",
        f"hot: {HOT} pictures over and over; Zipf: of the same new pictures, exponent {ZIPF}, from empty caches",
        "cpu: of the web process, a request; it also holds whatever that process does beside",
    ]
    return Report("Search: milliseconds a request", rows, notes)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _fill(collection: Collection, model: FeatureModel, count: int, descriptors: str, seed: int = 0) -> None:
    """Rows of products, pictures and embeddings up to ``count`` pictures; their files are those that are there."""
    images = list(Image.objects.filter(collection=collection))
    more = max(0, count - len(images))
    x = _real(descriptors, more, model) if descriptors else _mixtures(_stored(model), more, seed)
    for start in range(0, more, 10_000):
        _say(f"rows: {start} of {more}")
        block = range(start, min(start + 10_000, more))
        products = Product.objects.bulk_create((_product(collection, n) for n in block), batch_size=1000)
        copies = (_copy(images[n % len(images)], n, product) for n, product in zip(block, products, strict=True))
        added = Image.objects.bulk_create(copies, batch_size=1000)
        pairs = zip(added, to_bytes(np.asarray(x[block.start : block.stop], np.float32)), strict=True)
        rows = (Embedding(image=image, feature_model=model, vector=vector) for image, vector in pairs)
        Embedding.objects.bulk_create(rows, batch_size=1000)


def _product(collection: Collection, n: int) -> Product:
    return Product(collection=collection, sku=f"{n:06}", title=f"Product {n}", price=n % 100, stock=n % 5)


def _copy(image: Image, number: int, product: Product) -> Image:
    fields = {name: getattr(image, name) for name in ("collection", "file", "size", "width", "height", "format")}
    return Image(product=product, sha256=f"{number:064x}", **fields)


def _real(folder: str, count: int, model: FeatureModel) -> Any:
    """The first ``count`` of what make_descriptors wrote."""
    plan = json.loads((Path(folder) / STATE).read_text())
    x = np.memmap(Path(folder) / BASE, np.dtype("<f2"), "r").reshape(-1, plan["dim"])
    if plan["dim"] != extractor_for(model).dim or len(x) < count:
        raise RuntimeError(
            f"{folder} has {len(x)} descriptors of {plan['dim']} dimensions; {count} are wanted, of {model}."
        )
    return x[:count]


def _stored(model: FeatureModel) -> Descriptors:
    stored = Embedding.objects.filter(feature_model=model, error="").values_list("vector", flat=True)
    return np.stack([from_bytes(vector, extractor_for(model).dim) for vector in stored if vector is not None])


def _mixtures(base: Descriptors, count: int, seed: int) -> Descriptors:
    """Each of three of ``base``, at random shares: overlapping, unlike isolated clusters, which flatter an index."""
    rng = np.random.default_rng(seed)
    picks, shares = rng.integers(0, len(base), (count, 3)), rng.dirichlet(np.ones(3), count).astype(np.float32)
    return l2_normalise(np.einsum("nk,nkd->nd", shares, base[picks]) if count else base[:0])


def _different(paths: Sequence[str], count: int) -> list[bytes]:
    """``count`` JPEG files, all different: those that are there, then crops of them."""
    files = [Path(path).read_bytes() for path in paths[:count]]
    for number in range(count - len(files)):
        with PIL.Image.open(paths[number % len(paths)]) as opened:
            image = opened.convert("RGB")
        ((box, _),) = crop_boxes(*image.size, 1, f"query {number}")
        buffer = io.BytesIO()
        image.crop(box).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def _in_services(collection: Collection, queries: list[bytes]) -> list[Row]:
    for name in ("descriptors", "answers"):
        caches[name].clear()

    def search(data: bytes) -> Row:
        start = time.perf_counter()
        results = search_by_picture(collection, data, k=K)
        wall = 1000 * (time.perf_counter() - start)
        return _checked(results.timings_ms, len(results.hits)) | {"request": wall}

    return _timed(search, queries)


def _over_http(collection: Collection, queries: list[bytes]) -> list[dict[str, Any]]:
    key = ApiKey(name="benchmark", all_collections=True)
    clear = key.issue()
    key.save()
    logs, rows = Path(settings.DATA_DIR) / "log", []
    count = len(queries) - WARM_UP
    with started(logs, clear) as site:
        for name, asked in (("each picture new", queries), (f"{HOT} hot pictures", _hot(queries, count))):
            _say(name)
            rows.append(_measured(f"HTTP, {name}", site, collection, asked))
    with started(logs, clear) as site:
        _say("Zipf")
        rows.append(_measured("HTTP, Zipf", site, collection, _zipf(queries, count)))
    return rows


def _hot(queries: list[bytes], count: int) -> list[bytes]:
    hot = min(HOT, count)
    return [queries[WARM_UP + n % hot] for n in range(-WARM_UP, count)]


def _zipf(queries: list[bytes], count: int) -> list[bytes]:
    """The first ones to warm up are not among those that follow."""
    pool = queries[WARM_UP:]
    weights = 1 / np.arange(1, len(pool) + 1) ** ZIPF
    drawn = np.random.default_rng(0).choice(len(pool), count, p=weights / weights.sum())
    return queries[:WARM_UP] + [pool[n] for n in drawn]


def _measured(name: str, site: Site, collection: Collection, asked: list[bytes]) -> dict[str, Any]:
    bodies = {id(data): form({"collection": collection.slug, "k": str(K)}, data) for data in asked}
    before = 0.0

    def search(data: bytes) -> Row:
        took, answer = site.search(*bodies[id(data)])
        kept = {"cached share": float("cached" in answer["timings_ms"])}
        return _checked(answer["timings_ms"], len(answer["hits"])) | {"request": took} | kept

    def warm() -> None:
        nonlocal before
        before = site.cpu_s()

    timings = _timed(search, asked, warm)
    return _row(name, timings) | {"cpu": round(1000 * (site.cpu_s() - before) / len(timings), 2)}


def _checked(timings_ms: dict[str, float], hits: int) -> Row:
    if hits != K:
        raise RuntimeError(f"The search found {hits} of {K}.")
    return dict(timings_ms)


def _timed(search: Search, queries: list[bytes], warm: Callable[[], None] = lambda: None) -> list[Row]:
    """Milliseconds of the parts of each search but the first ones; ``warm`` is called after those."""
    for data in queries[:WARM_UP]:
        search(data)
    warm()
    return [search(data) for data in queries[WARM_UP:]]


def _row(name: str, timings: list[Row]) -> dict[str, Any]:
    """Median and p99 of the whole request, and the median of its parts."""
    whole = [one["request"] for one in timings]
    row: dict[str, Any] = {"search": name, "queries": len(timings)}
    row |= {f"{label}": round(float(np.percentile(whole, at)), 2) for label, at in (("median", 50), ("p99", 99))}
    beyond = [one["request"] - sum(one[part] for part in NETWORK_PARTS) for one in timings]
    row["beyond decode and network"] = round(float(np.median(beyond)), 2)
    if "cached share" in timings[0]:
        row["cached %"] = round(100 * float(np.mean([one["cached share"] for one in timings])))
    parts = ("decode", "network", "coarse", "fine", "rules", "database", "total")
    return row | {part: round(float(np.median([one.get(part, 0.0) for one in timings])), 2) for part in parts}
