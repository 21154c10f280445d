"""A collection whose categories are kinds of stripes, and a tiny random network to learn them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from django.conf import settings
from PIL import Image as PillowImage

from catalog.models import Collection
from search.models import FeatureModel
from tests import factories
from tests.search.training import toy

CATEGORIES = ("wide upright", "wide level", "middling upright", "middling level", "narrow upright", "narrow level")
# What makes a tiny random network learn in seconds; see tests.search.training.toy.
QUICK: dict[str, Any] = {
    "labels": "category", "loss": "triplet", "steps": 30, "evaluate_every": 6, "classes": 6, "per_class": 4,
    "rate": 3e-3, "first_rate": 1.0, "freeze_norm": False, "augment": 0.2, "precision": "float32", "patience": 0,
}  # fmt: skip


def png(label: int, seed: int, side: int = 48) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(toy.draw(label, seed, side)).save(file, "PNG")
    return file.getvalue()


def make_stripes(each: int = 10, **fields: Any) -> Collection:
    """``each`` products a category, a picture each; the attribute ``ink`` is the category's first word."""
    collection = factories.CollectionFactory(**{"slug": "stripes", "name": "Stripes", **fields})
    for label, category in enumerate(CATEGORIES):
        for seed in range(each):
            product = factories.ProductFactory(
                collection=collection, category=category, attributes={"width": category.split()[0]}
            )
            factories.ImageFactory(product=product, data=png(label, seed))
    return collection


def make_network(name: str = "random", **fields: Any) -> FeatureModel:
    """The toy's network as fine-tuning would have left it: ONNX, card and weights. 64 dimensions, 32 pixels."""
    from search.training.trunks import export

    path = Path(settings.WEIGHTS_ROOT) / f"{name}.onnx"
    export(toy.trunk(), path, {"name": name})
    return factories.FeatureModelFactory(name=name, backbone="onnx", weights=path.name, **fields)
