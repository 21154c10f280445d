"""One search from example pictures to hydrated hits, its parts timed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from django.conf import settings
from django.utils.translation import gettext

from catalog.errors import LookalikeError, gettext_noop
from catalog.models import Collection, Image, ImageRole
from search.calibration import Calibration
from search.calibrations import calibration_of
from search.describing import Describer
from search.examples import Example, away, examples_check, liked
from search.expansion import BadExpansion, Expansion, expanded
from search.extraction.attributes import Prediction
from search.filters import Filters
from search.hits import Hit, Moved, Results
from search.indexes import set_threads
from search.looks import looks_like
from search.lookup import Lookup
from search.models import SearchIndex, SearchLog
from search.ranking import Candidate, Ranking, Rule
from search.search_log import log_search
from search.selectors import allowed_for
from search.serving import State, default_index, live
from search.types import Descriptors, Ids

logger = logging.getLogger(__name__)

DEEPEST = 1000  # offset + k


class NothingToSearch(LookalikeError):
    code = "nothing_to_search"
    text = gettext_noop("The collection %(collection)s has no pictures.")
    cure = gettext_noop("Import some first.")
    status = 409


class NotEmbeddedYet(NothingToSearch):
    code = "not_embedded_yet"
    text = gettext_noop("The pictures of the collection %(collection)s are still being prepared.")
    cure = gettext_noop("Try again in a moment. If it lasts, see that a worker is running.")
    status = 503


class BadPage(LookalikeError):
    code = "bad_page"
    text = gettext_noop("Hits %(first)s to %(last)s cannot be asked for.")
    cure = gettext_noop("Ask for at least one, and for none beyond the %(deepest)s best.")


class NotCalibrated(LookalikeError):
    code = "not_calibrated"
    text = gettext_noop("The scores of the index %(index)s are not calibrated: no hit has a probability.")
    cure = gettext_noop("Build the index, or run manage.py calibrate; or search without a least probability.")
    status = 409


class SearchRequest:
    """Raises BadPage at once. ``run`` searches."""

    def __init__(
        self,
        collection: Collection,
        index: SearchIndex | None,
        k: int,
        offset: int,
        filters: Filters,
        source: str,
        min_probability: float | None = None,
        expansion: Expansion | None = None,
    ) -> None:
        if k < 1 or offset < 0 or offset + k > DEEPEST:
            raise BadPage(first=offset + 1, last=offset + k, deepest=DEEPEST)
        self._started = time.perf_counter()
        self.timings_ms = dict.fromkeys(("decode", "network", "coarse", "fine", "rules", "database", "total"), 0.0)
        self.collection, self.k, self.offset, self.filters, self.source = collection, k, offset, filters, source
        self.min_probability = min_probability
        self.looks_like: tuple[Prediction, ...] = ()
        with self._timed("database"):
            self.index = index or default_index(collection)
            self.gallery = Image.objects.filter(collection_id=self.index.collection_id, role=ImageRole.GALLERY)
        self.expansion = _expansion(self.index) if expansion is None else expansion
        self.calibration = calibration_of(self.index)
        if min_probability is not None and self.calibration is None:
            raise NotCalibrated(index=self.index)

    def run(self, examples: Sequence[Example], exclude_examples: bool = True) -> Results:
        """Raises BadExamples, NothingToSearch, and what extraction raises."""
        examples_check(examples)
        with self._timed("database"):
            state = live(self.index).state()
            self._refuse_empty(state)
        stored = np.unique([example.image.pk for example in examples if example.image is not None]).astype(np.int64)
        query, length = self._query(examples, state, stored)
        with self._timed("database"):
            allowed = allowed_for(self.index, self.filters)
        lookup = Lookup(self.gallery)
        ranking, state = live(self.index).search(
            query,
            self.k,
            lookup,
            offset=self.offset,
            allowed=allowed,
            excluded=stored if exclude_examples else None,
            rules=self._rules(state, length),
        )
        with self._timed("database"):
            hits = self._hits(ranking, lookup, length)
        for part, milliseconds in ranking.timings_ms.items():
            self.timings_ms[part] += milliseconds
        self.timings_ms["total"] = 1000 * (time.perf_counter() - self._started)
        results = Results(
            hits=hits,
            has_more=ranking.has_more,
            timings_ms=self._rounded(),
            index=self.index,
            build=state.build,
            tiers=tuple(ranking.tiers),
            cut_off=self.index.cut_off,
            descriptors=len(examples),
            looks_like=self.looks_like,
        )
        log_search(_line(results, self.source))
        return results

    def _query(self, examples: Sequence[Example], state: State, stored: Ids) -> tuple[Descriptors, float]:
        """(dim,) of all examples together, and the length of the mean that it was made of.

        What is liked is expanded; what is not is taken off after that.
        """
        x = Describer(self.index.feature_model, self._timed).describe(examples)
        weights = np.array([example.weight for example in examples], np.float64)
        self.looks_like = looks_like(self.index.feature_model, x, weights.tolist())
        query, length = liked(x, weights)
        if self.expansion:
            with self._timed("expansion"):
                set_threads(settings.FAISS_THREADS or 1)
                banned = np.union1d(stored, state.masked)
                rows, lengths = expanded(state.pipeline, query[None], self.expansion, [banned])
            query, length = rows[0], length * float(lengths[0])
        return away(query, x, weights), length

    def _rules(self, state: State, length: float) -> list[Rule] | None:
        """The configured rules after one that drops what is too unlikely; None for the configured ones alone."""
        if self.min_probability is None or self.calibration is None:
            return None
        floor = self.calibration.score(self.min_probability) / length
        return [_at_least(floor), *state.pipeline.rules]

    def _refuse_empty(self, state: State) -> None:
        if len(state):
            return
        empty = NotEmbeddedYet if self.gallery.exists() else NothingToSearch
        raise empty(collection=self.collection.name)

    def _hits(self, ranking: Ranking, lookup: Lookup, length: float) -> list[Hit]:
        images = lookup.images([candidate.id for candidate in ranking.hits])
        there = [candidate for candidate in ranking.hits if candidate.id in images]
        probabilities = _probabilities(self.calibration, [length * candidate.score for candidate in there])
        return [
            Hit(images[candidate.id], candidate.score, self.offset + place, _reasons(candidate), probability)
            for place, (candidate, probability) in enumerate(zip(there, probabilities, strict=True), start=1)
        ]

    def _rounded(self) -> dict[str, float]:
        return {part: round(milliseconds, 3) for part, milliseconds in self.timings_ms.items()}

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms.setdefault(part, 0.0)
            self.timings_ms[part] += 1000 * (time.perf_counter() - start)


def _reasons(candidate: Candidate) -> tuple[Moved, ...]:
    reasons = candidate.reasons
    return tuple(Moved(reason.rule, gettext(reason.text) % reason.params) for reason in reasons)


def _probabilities(calibration: Calibration | None, scores: Sequence[float]) -> list[float] | list[None]:
    """Of mean scores: see Calibration."""
    if calibration is None:
        return [None] * len(scores)
    return [calibration.probability(score) for score in scores]


def _at_least(floor: float) -> Rule:
    """No rule that follows may bring back what this one leaves out: it was asked for by the search itself."""

    def run(candidates: list[Candidate]) -> list[Candidate]:
        return [candidate for candidate in candidates if candidate.score >= floor]

    return Rule("min_probability", run, floor=floor, drops=True, lasting=True)


def _expansion(index: SearchIndex) -> Expansion:
    try:
        return Expansion.from_dict(index.expansion)
    except BadExpansion as error:  # refused in the admin; still no reason to answer nothing
        logger.error("the query expansion of index %s is left out: %s", index, error)
        return Expansion.none()


def _line(results: Results, source: str) -> SearchLog:
    best = max((hit.score for hit in results.hits), default=None)
    hits, timings_ms = len(results.hits), results.timings_ms
    return SearchLog(index=results.index, source=source, hits=hits, best_score=best, timings_ms=timings_ms)
