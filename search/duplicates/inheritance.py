"""What a kept picture takes over from its deleted duplicates: labels, queries, the product."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db.models import F

from catalog.models import Benchmark, Grade, Image, Label, Query

# Of two labels of the same query the stronger one stays: what is relevant once is relevant.
STRENGTH = {
    grade: rank for rank, grade in enumerate((Grade.EASY, Grade.HARD, Grade.JUNK, Grade.DISTRACTOR, Grade.NEGATIVE))
}


def inherit(chosen: Image, others: Sequence[Image], delete: Callable[[Image], None]) -> None:
    """Give ``chosen`` what hangs on the ``others``, then ``delete`` those. Inside the caller's transaction.

    Kept rankings of evaluation runs stay as they were measured. Benchmarks whose labels change get a new version.
    """
    touched = {key for other in others for key in (*_labels(chosen, other), *_queries(chosen, other))}
    Benchmark.objects.filter(pk__in=touched).update(version=F("version") + 1)
    products = {other.product_id for other in others if other.product_id is not None}
    for other in others:
        delete(other)
    if chosen.product_id is None and len(products) == 1:
        # After the deletion: the same bytes may be in that product once only.
        same = Image.objects.filter(product__in=products, role=chosen.role, sha256=chosen.sha256).exclude(pk=chosen.pk)
        if not same.exists():
            chosen.product_id = products.pop()
            chosen.save(update_fields=["product"])


def _labels(chosen: Image, other: Image) -> list[int]:
    """Benchmarks whose labels moved."""
    own = {label.query_id: label for label in Label.objects.filter(image=chosen)}
    moved = []
    for label in Label.objects.filter(image=other).select_related("query"):
        present = own.get(label.query_id)
        if present is None:
            label.image = chosen
            label.save(update_fields=["image"])
        elif STRENGTH[Grade(label.grade)] < STRENGTH[Grade(present.grade)]:
            present.grade = label.grade
            present.save(update_fields=["grade"])
        moved.append(label.query.benchmark_id)
    return moved


def _queries(chosen: Image, other: Image) -> list[int]:
    """Queries that ask with the deleted picture ask with the kept one, and their results stay with them."""
    queries = list(Query.objects.filter(image=other))
    for query in queries:
        query.image = chosen
        query.box = _scaled(query.box, other, chosen)
        query.save(update_fields=["image", "box"])
    return [query.benchmark_id for query in queries]


def _scaled(box: list[float] | None, old: Image, new: Image) -> list[int] | None:
    """[x, y, width, height] at the same place of the other picture, in its pixels."""
    if box is None:
        return None
    across, down = new.width / old.width, new.height / old.height
    x, y, width, height = box
    return [round(x * across), round(y * down), max(1, round(width * across)), max(1, round(height * down))]
