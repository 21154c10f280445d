"""What the search side does when the catalog announces something: little, and nothing that takes long."""

from __future__ import annotations

from typing import Any

from catalog.models import Collection, Product


def embed_added(sender: object, collection: Collection, **kwargs: Any) -> None:
    """Embed new pictures with every feature model that one of the collection's indexes uses.

    A collection without an index gets its default one first: what is added shall be found.
    """
    from search.builds import index_for
    from search.models import SearchIndex
    from search.tasks import embed_pending

    index_for(collection)
    models = SearchIndex.objects.filter(collection=collection).values_list("feature_model_id", flat=True)
    for feature_model_id in set(models):
        embed_pending.delay_on_commit(collection.pk, feature_model_id)


def proposals_drop(sender: object, instance: Product, created: bool, **kwargs: Any) -> None:
    """A product that states an attribute by now needs no proposal of it."""
    from search.proposals import product_settle

    if not created and not kwargs.get("raw"):
        product_settle(instance)
