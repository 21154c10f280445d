"""The product branch as a training run: a collection's categories and attributes in, a feature model out.

The base model's stored embeddings are all that is read; no picture goes through a network. Its own embeddings are made
from those too (``projected_from``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db import transaction
from django.db.models import Exists, OuterRef

from catalog.models import Collection, Image, ImageRole, Product
from search.embedding import embed_pending
from search.extraction.attributes import CATEGORY
from search.feature_models import feature_model_create
from search.models import Embedding, FeatureModel, TrainingRun
from search.models.training import TrainingKind
from search.projections import NothingToFitOn, ProjectedAlready, projection_save, vectors_of
from search.proposals import LEAST_CONFIDENCE, proposals_make
from search.training.branch import Result, fit_branch
from search.training.branch_labels import Chosen, LeftOut, Sample, Texts, choose, split, texts
from search.training.errors import BadTrainingOptions, TooFewLabels
from search.training_labels import PATIENT
from search.trainings import training_create

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MOST_PICTURES = 40_000  # of those, more than are fitted, tuned and measured on
BLOCK = 500  # SQLite takes so many values in one question


@dataclass(frozen=True)
class BranchOptions:
    """``seed`` decides which products are held out; ``propose_from`` is the least confidence of a proposal."""

    seed: int = 0
    propose_from: float = LEAST_CONFIDENCE

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> BranchOptions:
        """Raises BadTrainingOptions."""
        names = {field.name for field in fields(cls)}
        for name in given:
            if name not in names:
                raise BadTrainingOptions(option=name, reason=f"there is no option {name}")
        options = cls(**given)
        if not 0 <= options.propose_from <= 1:
            raise BadTrainingOptions(option="propose_from", reason="a confidence is from 0 to 1")
        return options


def branch_create(
    collection: Collection,
    base: FeatureModel,
    name: str,
    options: BranchOptions | None = None,
    user: AbstractBaseUser | None = None,
) -> TrainingRun:
    """A queued run. Raises at once what would make it fail: ProjectedAlready, NothingToFitOn, TooFewLabels, NameTaken,
    TrainingUnderWay."""
    if base.projection:
        raise ProjectedAlready(model=base)
    if not Image.objects.filter(collection=collection, role=ImageRole.GALLERY, product__isnull=False).exists():
        raise NothingToFitOn(model=base, collections=collection.name)
    _learnable(choices(collection))
    given = asdict(options or BranchOptions())
    return training_create(TrainingKind.BRANCH, name, collection=collection, base=base, options=given, user=user)


def run(run: TrainingRun) -> None:
    """Do a claimed run: see search.trainings.WORK. Minutes at most, so after a kill it begins anew."""
    collection, base = run.collection, run.base
    if collection is None or base is None:
        raise BadTrainingOptions(option="base", reason="the collection or the feature model it begins with was deleted")
    options = BranchOptions.from_dict(run.options)
    if run.result is None:
        _embed(run, collection, base)
        found = choices(collection)
        sample, keys = sample_of(collection, base, _learnable(found))
        parts = split(keys, sample.products, sample.contents, options.seed)
        result = fit_branch(sample, parts, _learnable(found), run.progress, options.seed)
        _keep(run, base, result, found)
    _propose(run, collection, options)


def _embed(run: TrainingRun, collection: Collection, base: FeatureModel) -> None:
    """What waits. Where everything is embedded no network is opened."""
    stored = Embedding.objects.filter(image=OuterRef("pk"), feature_model=base)
    if Image.objects.filter(~Exists(stored), collection=collection).exists():
        embed_pending(collection, base, on_progress=lambda done, total: run.progress(done, total, "embedding"))


def choices(collection: Collection) -> list[Chosen | LeftOut]:
    """The category and every attribute of the products with pictures: a head, or why not.

    The category comes first, then what has the most values: it tells the most.
    """
    stated: dict[str, dict[int, object]] = {}
    count = 0
    pictured = Image.objects.filter(product=OuterRef("pk"), role=ImageRole.GALLERY)
    rows = Product.objects.filter(Exists(pictured), collection=collection).order_by("pk")
    for category, attributes in rows.values_list("category", "attributes").iterator(chunk_size=2000):
        for name, value in stated_by(category, attributes).items():
            if value is None:
                continue
            stated.setdefault(name, {})[count] = value
        count += 1
    found = [choose(name, [values.get(at) for at in range(count)]) for name, values in stated.items()]
    heads = sorted((one for one in found if isinstance(one, Chosen)), key=_rank)
    return [*heads, *sorted((one for one in found if isinstance(one, LeftOut)), key=lambda one: one.attribute)]


def stated_by(category: str, attributes: object) -> dict[str, object]:
    """What a product states, by name. An attribute that is called as the category's field is gives way to it."""
    own = {str(name): value for name, value in attributes.items()} if isinstance(attributes, dict) else {}
    return {**own, CATEGORY: category or None}


def _rank(chosen: Chosen) -> tuple[bool, int, str]:
    return chosen.attribute != CATEGORY, -len(chosen.values), chosen.attribute


def _learnable(found: Iterable[Chosen | LeftOut]) -> list[Chosen]:
    chosen = [one for one in found if isinstance(one, Chosen)]
    if not chosen:
        raise TooFewLabels(
            found="no attribute or category with enough values",
            needed="two values of eight products each",
            cure="State categories or attributes of more products.",
        )
    return chosen


def sample_of(collection: Collection, base: FeatureModel, chosen: Iterable[Chosen]) -> tuple[Sample, list[str]]:
    """Gallery pictures of products with their base descriptors, and the SKU of each. Raises NothingToFitOn."""
    rows = Embedding.objects.filter(
        feature_model=base,
        vector__isnull=False,
        image__collection=collection,
        image__role=ImageRole.GALLERY,
        image__product__isnull=False,
    )
    columns = ("id", "image__product_id", "image__product__sku", "image__sha256", f"image__{PATIENT}")
    read = list(rows.order_by("id").values_list(*columns))
    if not read:
        raise NothingToFitOn(model=base, collections=collection.name)
    read = _some(read)
    keys, products, skus, contents = zip(
        *((pk, p, sku, patient or sha) for pk, p, sku, sha, patient in read), strict=True
    )
    stated = _stated(sorted(set(products)), [one.attribute for one in chosen])
    by_picture = {name: [values[product] for product in products] for name, values in stated.items()}
    numbered = np.unique(np.array(contents), return_inverse=True)[1].astype(np.int64)
    x = vectors_of(list(keys), base.dim)
    return Sample(x, np.array(products, np.int64), numbered, by_picture), list(skus)


def _some(rows: list[Any]) -> list[Any]:
    """Whole products, drawn with a fixed seed, up to MOST_PICTURES."""
    if len(rows) <= MOST_PICTURES:
        return rows
    products = np.array([row[1] for row in rows])
    unique, place, counts = np.unique(products, return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(unique))
    kept = np.zeros(len(unique), bool)
    kept[order[np.cumsum(counts[order]) <= MOST_PICTURES]] = True
    return [row for row, keep in zip(rows, kept[place].tolist(), strict=True) if keep]


def _stated(products: list[int], names: list[str]) -> dict[str, dict[int, Texts]]:
    found: dict[str, dict[int, Texts]] = {name: {} for name in names}
    for start in range(0, len(products), BLOCK):
        rows = Product.objects.filter(pk__in=products[start : start + BLOCK])
        for pk, category, attributes in rows.values_list("pk", "category", "attributes"):
            stated = stated_by(category, attributes)
            for name in names:
                found[name][pk] = texts(stated.get(name)) or ()
    return found


def _keep(run: TrainingRun, base: FeatureModel, result: Result, found: list[Chosen | LeftOut]) -> None:
    """The feature model and the figures, both or neither. Raises NameTaken."""
    left_out = [one for one in found if isinstance(one, LeftOut)] + result.left_out
    file = projection_save(result.branch, "branch")
    spec = replace(base.spec, projection=file, projection_sha256=result.branch.identity)
    run.results = {**result.figures, "left_out": [asdict(one) for one in left_out]}
    with transaction.atomic():
        run.result = feature_model_create(run.name, spec, projected_from=base)
        run.save(update_fields=["result", "results"])


def _propose(run: TrainingRun, collection: Collection, options: BranchOptions) -> None:
    from search.finetunings import index_beside

    assert run.result is not None
    index_beside(collection, run.result)
    run.progress(run.done, run.total, "proposals")
    run.results["proposals"] = proposals_make(collection, run.result, options.propose_from)
    run.save(update_fields=["results"])
