"""The life of an index: builds are made, activated, rolled back and pruned."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction

from catalog.errors import JobCancelled, LookalikeError, gettext_noop
from catalog.jobs import UNFINISHED, JobState
from catalog.locks import try_lock
from catalog.models import Collection
from search import engines
from search.building import EmptyBuild, build_files
from search.embedding import feature_model_default
from search.indexes import IndexFault
from search.models import Engine, IndexBuild, SearchIndex
from search.models.quantisation import EightBitsTooCostly, EightBitsUnmeasured, check_may_serve

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

__all__ = [
    "BuildAlreadyRunning",
    "BuildNotReady",
    "EmptyBuild",
    "NoOlderBuild",
    "build_activate",
    "build_create",
    "build_rollback",
    "build_run",
    "builds_prune",
    "collections_sweep",
    "index_for",
    "index_make_default",
]

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # stage, done, total
KEEP = 3  # finished builds, besides the active one


class BuildAlreadyRunning(LookalikeError):
    code = "build_already_running"
    text = gettext_noop("The index %(index)s is being built already.")
    cure = gettext_noop("Wait for it, or cancel it.")
    status = 409


class BuildNotReady(LookalikeError):
    code = "build_not_ready"
    text = gettext_noop("The build %(build)s cannot be served: %(reason)s.")
    cure = gettext_noop("Choose another build, or build the index again.")
    status = 409


class NoOlderBuild(LookalikeError):
    code = "no_older_build"
    text = gettext_noop("The index %(index)s has no older build to go back to.")
    cure = gettext_noop("Build it again.")
    status = 409


def index_for(collection: Collection) -> SearchIndex:
    """The collection's default index; made with the default feature model if there is none."""
    indexes = SearchIndex.objects.filter(collection=collection).select_related("feature_model", "active_build")
    found = indexes.order_by("-is_default", "id").first()
    if found is not None:
        return found
    feature_model = feature_model_default()
    try:
        with transaction.atomic():
            SearchIndex.objects.create(collection=collection, feature_model=feature_model)
    except IntegrityError:
        logger.info("the index of %s was made by someone else at the same time", collection)
    return indexes.order_by("-is_default", "id").get()


def index_make_default(index: SearchIndex) -> None:
    """Search the collection with this index from now on. Raises EightBitsUnmeasured, EightBitsTooCostly."""
    check_may_serve(index.feature_model)
    with transaction.atomic():
        others = SearchIndex.objects.filter(collection=index.collection_id).exclude(pk=index.pk)
        others.filter(is_default=True).update(is_default=False)
        index.is_default = True
        index.save(update_fields=["is_default"])


def build_create(
    index: SearchIndex, *, user: AbstractBaseUser | None = None, activate: bool = True, factory: str | None = None
) -> IndexBuild:
    """A queued build; the caller enqueues ``search.tasks.build_run``. Raises BuildAlreadyRunning.

    ``factory``: another one than the index's own, for this build alone.
    """
    try:
        with transaction.atomic():
            return IndexBuild.objects.create(
                index=index,
                activate_when_done=activate,
                engine=index.engine,
                factory=factory or index.factory,
                created_by_id=user.pk if user is not None else None,
            )
    except IntegrityError:
        raise BuildAlreadyRunning(index=index) from None


def build_run(build_id: int, on_progress: Progress | None = None) -> IndexBuild:
    """Do a queued build, or one whose process died. How it ended is told by the row: nothing is raised.

    A build that is finished, or that another process works on, is left alone: running twice does no harm.
    """
    build: IndexBuild = IndexBuild.objects.select_related("index__feature_model", "index__collection").get(pk=build_id)
    with try_lock(f"build-{build.index_id}") as mine:  # dies with its process, unlike the row's state
        if mine and build.claim():
            _run(build, on_progress)
    return build


def _run(build: IndexBuild, on_progress: Progress | None) -> None:
    try:
        build_files(build, on_progress)
        build.finish()
    except JobCancelled:
        build.finish(JobState.CANCELLED)
    except LookalikeError as error:
        build.finish(JobState.FAILED, str(error))
    except Exception as error:
        logger.exception("build %s failed", build.pk)
        build.finish(JobState.FAILED, f"{type(error).__name__}: {error}")
    except BaseException:
        build.finish(JobState.FAILED, "It was interrupted.")
        raise
    if build.state == JobState.DONE and build.activate_when_done:
        _activate_at_once(build)
    builds_prune(build.index)


def _activate_at_once(build: IndexBuild) -> None:
    try:
        build_activate(build)
    except (BuildNotReady, EightBitsUnmeasured, EightBitsTooCostly) as error:
        # The index was changed meanwhile, or its model may not serve yet; the build stays, for when that has changed.
        build.finish(JobState.DONE, str(error))


def build_activate(build: IndexBuild) -> None:
    """Serve this build: one row changes, serving processes follow within a second. Raises BuildNotReady,
    and EightBitsUnmeasured or EightBitsTooCostly for a model in 8 bits.

    On a Milvus server its collection is loaded before, and gets the index's alias after.
    """
    if build.state != JobState.DONE:
        raise BuildNotReady(build=build, reason=f"it is {build.state}")
    if not build.folder.is_dir():
        raise BuildNotReady(build=build, reason="its files were deleted")
    try:
        engines.make_ready(build)
    except IndexFault as error:
        raise BuildNotReady(build=build, reason=str(error).rstrip(".")) from error
    with transaction.atomic():
        index = (
            SearchIndex.objects.select_for_update(of=("self",)).select_related("feature_model").get(pk=build.index_id)
        )
        if build.fingerprint != index.feature_model.fingerprint:
            raise BuildNotReady(build=build, reason="it was made from descriptors of another feature model")
        check_may_serve(index.feature_model)
        SearchIndex.objects.filter(pk=index.pk).update(active_build=build)
        transaction.on_commit(lambda: engines.point_alias(build))
    build.index.active_build = build


def build_rollback(index: SearchIndex) -> IndexBuild:
    """Activate the newest usable build before the active one and return it. Raises NoOlderBuild."""
    older = IndexBuild.objects.filter(index=index, state=JobState.DONE).select_related("index").order_by("-pk")
    if index.active_build_id is not None:
        older = older.filter(pk__lt=index.active_build_id)
    build: IndexBuild
    for build in older:
        try:
            build_activate(build)
        except BuildNotReady:
            continue
        index.active_build = build
        return build
    raise NoOlderBuild(index=index)


def builds_prune(index: SearchIndex, keep: int = KEEP) -> int:
    """Delete the files and collections of all builds but the active and the ``keep`` newest; rows stay as history.

    A process that still has one open keeps it till it closes it. Returns how many folders were deleted.
    """
    root, kept = Path(settings.INDEX_ROOT) / str(index.pk), _kept(index, keep)
    folders = [path for path in root.glob("[0-9]*") if path.is_dir() and int(path.name) not in kept]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    if IndexBuild.objects.filter(index=index, engine=Engine.MILVUS).exists():
        engines.drop_collections({index.pk: kept}, index.pk)
    return len(folders)


def _kept(index: SearchIndex, keep: int = KEEP) -> set[int]:
    """Builds whose files stay."""
    done = IndexBuild.objects.filter(index=index, state=JobState.DONE).order_by("-pk").values_list("pk", flat=True)
    unfinished = IndexBuild.objects.filter(index=index, state__in=UNFINISHED).values_list("pk", flat=True)
    active = SearchIndex.objects.filter(pk=index.pk).values_list("active_build_id", flat=True)
    return {pk for pk in (*done[:keep], *unfinished, *active) if pk is not None}


def collections_sweep() -> int:
    """Drop what the Milvus server still holds of deleted indexes and pruned builds. Returns how many collections."""
    return engines.drop_collections({index.pk: _kept(index) for index in SearchIndex.objects.all()})
