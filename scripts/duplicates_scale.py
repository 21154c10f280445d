#!/usr/bin/env python3
"""Scan a large synthetic collection for duplicates and print time, peak memory and what was found.

    scripts/duplicates_scale.py --pictures 100000

Rows, hashes and descriptors are random; one picture in fifty has a near copy. The files are a few hundred drawn
pictures, for the closer look that proposed pairs get. Data lies in a folder of its own, which is deleted at the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DRAWN = 400
DIM = 256
CHUNK = 2000
PAIR_EVERY = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--build", action="store_true", help="build the index first, as a large collection would")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duplicates-scale-") as folder:
        os.environ.update(DATA_DIR=folder, DJANGO_SETTINGS_MODULE="retrieval_site.settings")
        os.environ.pop("DATABASE_URL", None)
        sys.path.insert(0, str(ROOT))
        import django

        django.setup()
        run(options.pictures, options.build)


def run(count: int, with_build: bool) -> None:
    from django.core.management import call_command

    from search.builds import build_create, build_run
    from search.duplicates.scans import scan_create, scan_run

    call_command("migrate", verbosity=0)
    index = fill(count)
    if with_build:
        build = build_run(build_create(index).pk)
        print(f"build: {build.state} {build.factory}, {build.seconds:.0f} s")
    before = peak_mb()
    started = time.monotonic()
    scan = scan_run(scan_create(index.collection, min_score=0.9).pk)
    print(
        f"{count:,} pictures: {scan.state} {scan.error}, {scan.found:,} groups of {count // PAIR_EVERY:,}, "
        f"{time.monotonic() - started:.0f} s, peak {peak_mb():.0f} MB ({before:.0f} MB before)"
    )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill(count: int) -> Any:
    """Rows by bulk, the way nothing else of the site makes them."""
    import numpy as np

    from catalog.models import Collection, Image
    from search.models import Embedding, FeatureModel, PerceptualHash, SearchIndex
    from search.vectors import to_bytes

    rng = np.random.default_rng(0)
    collection = Collection.objects.create(name="Scale", slug="scale")
    model = FeatureModel.objects.create(name="scale", backbone="color_gradient", dim=DIM, fingerprint="f" * 64)
    index = SearchIndex.objects.create(collection=collection, feature_model=model)
    thumbnails = draw()
    hashes = rng.integers(0, 256, (count, 8), np.uint8)
    hashes[PAIR_EVERY - 1 :: PAIR_EVERY] = hashes[PAIR_EVERY - 2 :: PAIR_EVERY]  # the copies
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        x = rng.standard_normal((len(numbers), DIM)).astype(np.float32)
        copies = np.array([row for row, n in enumerate(numbers) if n % PAIR_EVERY == PAIR_EVERY - 1], np.int64)
        x[copies] = x[copies - 1] + 0.1 * x[copies]
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        images = Image.objects.bulk_create(
            Image(
                collection=collection,
                file=f"images/{n}.jpg",
                thumbnail=thumbnails[(n - (n % PAIR_EVERY == PAIR_EVERY - 1)) % DRAWN],
                sha256=f"{n:064x}"[::-1],
                size=1,
                width=320,
                height=240,
                format="JPEG",
            )
            for n in numbers
        )
        pairs = list(zip(images, to_bytes(x), strict=True))
        Embedding.objects.bulk_create(Embedding(image=i, feature_model=model, vector=v) for i, v in pairs)
        PerceptualHash.objects.bulk_create(
            PerceptualHash(image=image, value=hashes[n].tobytes()) for n, image in zip(numbers, images, strict=True)
        )
    return index


def draw() -> list[str]:
    """Names of small noise pictures, each unlike the others."""
    import numpy as np
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from PIL import Image

    from catalog.images import thumbnail

    rng = np.random.default_rng(1)
    names = []
    for n in range(DRAWN):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
        data = thumbnail(coarse.resize((320, 240), Image.Resampling.BICUBIC))
        names.append(default_storage.save(f"thumbnails/{n}.webp", ContentFile(data)))
    return names


if __name__ == "__main__":
    main()
