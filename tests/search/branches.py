"""Collections whose descriptors tell categories and colours, and feature models with heads that read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from catalog.models import Collection, Image, Product
from search.extraction.attributes import CATEGORY, AttributeBranch, Head
from search.models import Embedding, FeatureModel
from search.projections import projection_save
from search.training.branch import fit_head
from search.training.branch_labels import Chosen, Sample
from search.types import Descriptors
from search.vectors import to_bytes
from tests.factories import CollectionFactory

DIM = 24
COLOURS = ("red", "blue", "green")
KINDS = ("mugs", "bowls", "plates")


@dataclass
class BranchSite:
    collection: Collection
    base: FeatureModel
    model: FeatureModel
    branch: AttributeBranch
    images: list[Image]


def centres(seed: int = 7) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(DIM).astype(np.float32) for name in (*COLOURS, *KINDS)}


def descriptors(kinds: list[str], colours: list[str], noise: float = 0.5, seed: int = 0) -> Descriptors:
    """Unit vectors (n, DIM): a kind's centre, a colour's, and noise."""
    at, rng = centres(), np.random.default_rng(seed)
    x = np.stack([2 * at[kind] + at[colour] for kind, colour in zip(kinds, colours, strict=True)])
    x += noise * rng.standard_normal(x.shape)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def make_products(
    collection: Collection, count: int, *, pictures: int = 1, noise: float = 0.5, seed: int = 0
) -> tuple[list[Image], Descriptors]:
    """``count`` products of all kinds and colours in turn, with rows for their pictures, and their descriptors."""
    start = Product.objects.filter(collection=collection).count()
    kinds = [KINDS[n % 3] for n in range(count)]
    colours = [COLOURS[n // 3 % 3] for n in range(count)]
    products = Product.objects.bulk_create(
        Product(collection=collection, sku=f"P{start + n:04}", category=kind, attributes={"colour": colour, "watts": n})
        for n, (kind, colour) in enumerate(zip(kinds, colours, strict=True))
    )
    images = Image.objects.bulk_create(
        Image(
            collection=collection, product=product, file=f"images/{start + n}-{k}.jpg",
            sha256=f"{(start + n) * 100 + k:064x}", size=1, width=9, height=9, format="JPEG",
        )
        for n, product in enumerate(products)
        for k in range(pictures)
    )  # fmt: skip
    repeat = [n for n in range(count) for _ in range(pictures)]
    x = descriptors([kinds[n] for n in repeat], [colours[n] for n in repeat], noise, seed)
    return images, x


def embed(images: list[Image], model: FeatureModel, x: Descriptors) -> None:
    pairs = zip(images, to_bytes(x), strict=True)
    Embedding.objects.bulk_create(Embedding(image=image, feature_model=model, vector=v) for image, v in pairs)


@cache
def heads(count: int = 180, weight: float = 0.5) -> tuple[Head, ...]:
    """Fitted on pictures of the same geometry that no collection has."""
    kinds = [KINDS[n % 3] for n in range(count)]
    colours = [COLOURS[n // 3 % 3] for n in range(count)]
    n = np.arange(count)
    stated = {CATEGORY: [(k,) for k in kinds], "colour": [(c,) for c in colours]}
    fitting, tuning = (Sample(descriptors(kinds, colours, 2, seed), n, n, stated) for seed in (98, 99))
    found = [
        fit_head(Chosen(name, True, values, count), fitting, tuning)
        for name, values in ((CATEGORY, KINDS), ("colour", COLOURS))
    ]
    made = [head for head in found if isinstance(head, Head)]
    return tuple(Head(**{**vars(head), "weight": weight}) for head in made)


def branch_site(count: int = 18, pictures: int = 1) -> BranchSite:
    """A collection, a base model that has embedded it, and a model with a branch that has not. No network opens."""
    collection = CollectionFactory(slug="kitchen", name="Kitchen")
    base = FeatureModel.objects.create(name="known", backbone="color_gradient", dim=DIM, fingerprint="f" * 64)
    images, x = make_products(collection, count, pictures=pictures)
    embed(images, base, x)
    branch = AttributeBranch(DIM, heads())
    model = FeatureModel.objects.create(
        name="known with attributes", backbone="color_gradient", dim=branch.dim, fingerprint="e" * 64,
        projected_from=base, projection=projection_save(branch, "branch"), projection_sha256=branch.identity,
    )  # fmt: skip
    return BranchSite(collection, base, model, branch, images)
