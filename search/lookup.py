"""What a search reads of its candidates from the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db.models import QuerySet

from catalog.models import Image
from search.facts import facts_by_id, facts_of
from search.ranking import Facts

HYDRATED_AT_ONCE = 64  # candidates read as whole rows; more are read as bare facts first


class Lookup:
    """Facts of candidates for the pipeline, and the rows of those that become hits, each read once."""

    def __init__(self, gallery: QuerySet[Image]) -> None:
        self._gallery = gallery.order_by()
        self._images: dict[int, Image] = {}

    def __call__(self, ids: Sequence[int]) -> Mapping[int, Facts]:
        """Facts of those that exist."""
        if len(ids) <= HYDRATED_AT_ONCE:
            return {id_: facts_of(image) for id_, image in self.images(ids).items()}
        return facts_by_id(ids, self._gallery)

    def images(self, ids: Sequence[int]) -> dict[int, Image]:
        if unread := [id_ for id_ in ids if id_ not in self._images]:
            rows = self._gallery.filter(pk__in=unread).select_related("product")
            self._images.update((image.pk, image) for image in rows)
        return {id_: self._images[id_] for id_ in ids if id_ in self._images}
