"""The switch from one feature model to another: one row changes, and changes back."""

from __future__ import annotations

from django.db import transaction

from catalog.errors import LookalikeError, gettext_noop
from search.builds import index_make_default
from search.consistency import pending_images
from search.maintenance import BUILD_FROM
from search.models import SearchIndex, TrainingRun
from search.side import embeddings_of

BEFORE = "index_before"  # in a run's results: the index that was searched before it


class NothingToActivate(LookalikeError):
    code = "nothing_to_activate"
    text = gettext_noop("The training %(run)s made no index that could be searched.")
    cure = gettext_noop("Wait until it is done; if it never beat the network it began with, there is none.")
    status = 409


class NotEmbeddedYet(LookalikeError):
    code = "not_embedded_yet"
    text = gettext_noop("The index %(index)s cannot be searched yet: %(reason)s.")
    cure = gettext_noop("Wait for the gpu and cpu queues, or run manage.py embed and manage.py build_index.")
    status = 409


class NothingBefore(LookalikeError):
    code = "nothing_before"
    text = gettext_noop("There is no index to go back to from %(run)s.")
    cure = gettext_noop("Choose the collection's default in the list of its indexes.")
    status = 409


def index_of(run: TrainingRun) -> SearchIndex | None:
    """The index of the run's collection with the feature model that came out."""
    if run.result_id is None or run.collection_id is None:
        return None
    rows = SearchIndex.objects.filter(collection=run.collection_id, feature_model=run.result_id)
    return rows.select_related("feature_model", "active_build", "collection").order_by("-is_default", "id").first()


def training_activate(run: TrainingRun) -> SearchIndex:
    """Search the collection with what the run made, from the next search on. Raises NothingToActivate, NotEmbeddedYet.

    Which index was searched before is kept with the run, for the way back.
    """
    index = index_of(run)
    if index is None:
        raise NothingToActivate(run=run)
    _check(index)
    with transaction.atomic():
        before = SearchIndex.objects.select_for_update().filter(collection=index.collection_id, is_default=True).first()
        if before is not None and before.pk != index.pk:
            run.results = {**run.results, BEFORE: before.pk}
            run.save(update_fields=["results"])
        index_make_default(index)
    return index


def training_deactivate(run: TrainingRun) -> SearchIndex:
    """Search the collection as before the run was activated. Raises NothingBefore."""
    index = index_of(run)
    before = SearchIndex.objects.filter(pk=run.results.get(BEFORE), collection=run.collection_id).first()
    if index is None or not index.is_default or before is None:
        raise NothingBefore(run=run)
    index_make_default(before)
    return before


def _check(index: SearchIndex) -> None:
    waiting = pending_images(index).count()
    if waiting:
        raise NotEmbeddedYet(index=index, reason=f"{waiting} pictures wait for their embedding")
    if index.active_build is None and embeddings_of(index).count() >= BUILD_FROM:
        raise NotEmbeddedYet(index=index, reason="its first build is not there")
    build = index.active_build
    if build is not None and build.fingerprint != index.feature_model.fingerprint:
        raise NotEmbeddedYet(index=index, reason="its build is of other descriptors")
