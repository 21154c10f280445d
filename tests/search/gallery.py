"""Collections with descriptors of known geometry: rows and vectors only, no decoding, no network."""

from __future__ import annotations

from decimal import Decimal

from django.db import connection

from catalog.models import Collection, Image, Product
from search.models import Embedding, FeatureModel, SearchIndex
from search.types import Descriptors
from search.vectors import to_bytes
from tests.factories import CollectionFactory
from tests.search.indexes.descriptors import clustered

DIM = 32
FINGERPRINT = "f" * 64


def feature_model() -> FeatureModel:
    model, _ = FeatureModel.objects.get_or_create(
        name="known", defaults={"backbone": "color_gradient", "dim": DIM, "fingerprint": FINGERPRINT}
    )
    return model


def make_index(count: int, **fields: object) -> SearchIndex:
    """An index over ``count`` embedded pictures, each its own product: half in stock, prices 0 to 99."""
    index = SearchIndex.objects.create(collection=CollectionFactory(), feature_model=feature_model(), **fields)
    add_pictures(index, count)
    return index


def add_pictures(index: SearchIndex, count: int, x: Descriptors | None = None, seed: int = 0) -> list[Image]:
    x = clustered(count, DIM, seed=seed) if x is None else x
    start = Product.objects.filter(collection=index.collection).count()
    products = Product.objects.bulk_create(_product(index.collection, n) for n in range(start, start + count))
    images = Image.objects.bulk_create(
        _image(index.collection, product, start + n) for n, product in enumerate(products)
    )
    embed(index, images, x)
    if connection.vendor == "postgresql" and count >= 1000:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # autovacuum does it, but never sees rows of an open transaction
    return images


def embed(index: SearchIndex, images: list[Image], x: Descriptors) -> None:
    pairs = zip(images, to_bytes(x), strict=True)
    Embedding.objects.bulk_create(
        Embedding(image=image, feature_model=index.feature_model, vector=vector) for image, vector in pairs
    )


def _product(collection: Collection, n: int) -> Product:
    return Product(
        collection=collection,
        sku=f"{n:05}",
        category=f"category {n % 10}",
        price=Decimal(n % 100),
        stock=n % 2,
        attributes={"colour": "red" if n % 3 else "blue"},
    )


def _image(collection: Collection, product: Product, n: int) -> Image:
    return Image(
        collection=collection, product=product, file=f"images/{n}.jpg", sha256=f"{n:064x}", size=1, width=9, height=9
    )
