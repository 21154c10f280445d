"""Rows for tests. Pictures are drawn, stored by the real service, and differ by their seed."""

# ruff: noqa: ARG003  (factory_boy's signatures)
from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import factory
import numpy as np
from django.contrib.auth import get_user_model
from factory.django import DjangoModelFactory
from PIL import Image as PillowImage
from PIL import ImageDraw

from catalog import models as catalog
from search import models as search

BASELINE = "color_gradient"  # needs no weights


def draw(seed: int = 0, size: tuple[int, int] = (96, 72)) -> PillowImage.Image:
    """An RGB picture of a few coloured shapes on a shaded ground, the same for the same seed and size."""
    rng = np.random.default_rng(seed)
    width, height = size
    ramp = np.linspace(0.6, 1.0, width)[None, :, None] * rng.integers(80, 256, 3)[None, None, :]
    ground = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)
    image = PillowImage.fromarray(np.ascontiguousarray(ground))
    pen = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = int(rng.integers(width // 6 + 1, width // 2 + 2)), int(rng.integers(height // 6 + 1, height // 2 + 2))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((x - w // 2, y - h // 2, x + w // 2, y + h // 2), fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    return image


def picture(seed: int = 0, size: tuple[int, int] = (96, 72), format: str = "JPEG", **save: Any) -> bytes:
    """The bytes of ``draw(seed, size)`` in a Pillow format; ``save`` goes to Pillow (``exif=``, ``quality=``)."""
    buffer = io.BytesIO()
    draw(seed, size).save(buffer, format, **save)
    return buffer.getvalue()


class UserFactory(DjangoModelFactory):
    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"user{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    password = factory.django.Password("correct horse battery")


class StaffFactory(UserFactory):
    is_staff = True
    is_superuser = True


class CollectionFactory(DjangoModelFactory):
    class Meta:
        model = catalog.Collection

    name = factory.Sequence(lambda n: f"Collection {n}")
    slug = factory.Sequence(lambda n: f"collection-{n}")
    is_public = True


class ProductFactory(DjangoModelFactory):
    class Meta:
        model = catalog.Product

    collection = factory.SubFactory(CollectionFactory)
    sku = factory.Sequence(lambda n: f"SKU-{n:04}")
    title = factory.LazyAttribute(lambda product: f"Product {product.sku}")
    category = "mugs"
    price = Decimal("12.50")
    currency = "EUR"
    stock = 3
    attributes = factory.LazyFunction(lambda: {"colour": "red"})


class ImageFactory(DjangoModelFactory):
    """A stored picture: the file and the thumbnail are there, made by ``catalog.services.image_add``.

    ``seed`` or ``data`` say which picture; ``product=None`` makes one without a product.
    """

    class Meta:
        model = catalog.Image

    class Params:
        seed = factory.Sequence(lambda n: n + 1)
        size_px = (96, 72)

    product = factory.SubFactory(ProductFactory)
    collection = factory.LazyAttribute(
        lambda image: image.product.collection if image.product else CollectionFactory.create()
    )
    role = catalog.ImageRole.GALLERY
    source = ""
    data = factory.LazyAttribute(lambda image: picture(image.seed, image.size_px))

    @classmethod
    def _create(cls, model_class: type[catalog.Image], *args: Any, **fields: Any) -> catalog.Image:
        from catalog.services import image_add

        collection, data = fields.pop("collection"), fields.pop("data")
        image, _ = image_add(collection, data, **fields)
        return image


class BenchmarkFactory(DjangoModelFactory):
    class Meta:
        model = catalog.Benchmark

    collection = factory.SubFactory(CollectionFactory)
    name = factory.Sequence(lambda n: f"Benchmark {n}")


class QueryFactory(DjangoModelFactory):
    class Meta:
        model = catalog.Query

    benchmark = factory.SubFactory(BenchmarkFactory)
    name = factory.Sequence(lambda n: f"query-{n}")
    image = factory.SubFactory(
        ImageFactory,
        product=None,
        collection=factory.SelfAttribute("..benchmark.collection"),
        role=catalog.ImageRole.QUERY,
    )


class LabelFactory(DjangoModelFactory):
    class Meta:
        model = catalog.Label

    query = factory.SubFactory(QueryFactory)
    image = factory.SubFactory(
        ImageFactory, product=None, collection=factory.SelfAttribute("..query.benchmark.collection")
    )
    grade = catalog.Grade.EASY


class ImportJobFactory(DjangoModelFactory):
    class Meta:
        model = catalog.ImportJob

    collection = factory.SubFactory(CollectionFactory)
    path = "catalog"


class FeatureModelFactory(DjangoModelFactory):
    """The classical baseline: real, quick, without weights. ``dim`` and ``fingerprint`` are filled when it is used."""

    class Meta:
        model = search.FeatureModel

    name = factory.Sequence(lambda n: f"features-{n}")
    backbone = BASELINE


class EmbeddingFactory(DjangoModelFactory):
    """A random unit vector of ``dim`` components; use ``search.embedding.embed_pending`` for true ones."""

    class Meta:
        model = search.Embedding

    class Params:
        dim = 32
        seed = factory.Sequence(lambda n: n)

    image = factory.SubFactory(ImageFactory)
    feature_model = factory.SubFactory(FeatureModelFactory)
    vector = factory.LazyAttribute(lambda row: _unit(row.seed, row.dim))


def _unit(seed: int, dim: int) -> bytes:
    x = np.random.default_rng(seed).standard_normal(dim)
    return (x / np.linalg.norm(x)).astype("<f2").tobytes()


class SearchIndexFactory(DjangoModelFactory):
    class Meta:
        model = search.SearchIndex

    collection = factory.SubFactory(CollectionFactory)
    name = "main"
    feature_model = factory.SubFactory(FeatureModelFactory)

    @classmethod
    def _create(cls, model_class: type[search.SearchIndex], *args: Any, **fields: Any) -> search.SearchIndex:
        """A collection has a default index from its first picture on: that one becomes what was asked for."""
        made = model_class.objects.filter(collection=fields["collection"], is_default=True).first()
        if made is None or not fields.get("is_default", True):
            return super()._create(model_class, *args, **fields)
        before = made.feature_model
        for name, value in fields.items():
            setattr(made, name, value)
        made.save()
        if not before.indexes.exists() and not before.embeddings.exists():
            before.delete()  # made along with it, and nothing a test asked for
        return made


class IndexBuildFactory(DjangoModelFactory):
    """A queued build; run it with ``search.builds.build_run(build.pk)``."""

    class Meta:
        model = search.IndexBuild

    index = factory.SubFactory(SearchIndexFactory)


class EvaluationRunFactory(DjangoModelFactory):
    class Meta:
        model = search.EvaluationRun

    benchmark = factory.SubFactory(BenchmarkFactory)
    index = factory.SubFactory(SearchIndexFactory, collection=factory.SelfAttribute("..benchmark.collection"))


class UploadedQueryFactory(DjangoModelFactory):
    """Made by ``search.services.query_upload``, with its files."""

    class Meta:
        model = search.UploadedQuery

    class Params:
        seed = factory.Sequence(lambda n: n + 5000)

    collection = factory.SubFactory(CollectionFactory)
    data = factory.LazyAttribute(lambda query: picture(query.seed))

    @classmethod
    def _create(cls, model_class: type[search.UploadedQuery], *args: Any, **fields: Any) -> search.UploadedQuery:
        from search.services import query_upload

        return query_upload(fields["collection"], fields["data"])


class ApiKeyFactory(DjangoModelFactory):
    """The key in clear is on the row as ``clear``."""

    class Meta:
        model = search.ApiKey

    name = factory.Sequence(lambda n: f"key-{n}")
    scope = search.Scope.READ

    @classmethod
    def _create(cls, model_class: type[search.ApiKey], *args: Any, **fields: Any) -> search.ApiKey:
        row = model_class(**fields)
        row.clear = row.issue()
        row.save()
        return row
