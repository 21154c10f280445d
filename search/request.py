"""One search from example pictures to hydrated hits, its parts timed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
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
from search.filters import Filters
from search.hits import Hit, Moved, Results
from search.indexes import set_threads
from search.looks import looks_like
from search.lookup import Lookup
from search.models import SearchIndex, SearchLog
from search.query_cache import Answer, Answered, answers
from search.question import Question
from search.ranking import Candidate, Ranking, Reason, Rule
from search.search_log import Counts, log_search
from search.selectors import allowed_for
from search.serving import State, default_index, live
from search.types import Descriptors

logger = logging.getLogger(__name__)

DEEPEST = 1000  # offset + k
SEARCHING = ("coarse", "fine", "rules", "expansion")  # what an answer that was kept needs no more


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
        describer = Describer(self.index.feature_model, self.index.collection_id, self._timed)
        x = describer.describe(examples)
        question = self._question(state, x, examples, exclude_examples)
        looks = looks_like(self.index.feature_model, x, question.weights.tolist())
        answer, images, is_kept = self._answer(question)
        self._finish_timings(is_kept)
        results = Results(
            hits=self._hits(answer, images),
            has_more=answer.has_more,
            timings_ms=self._rounded(),
            index=self.index,
            build=state.build,
            tiers=answer.tiers,
            cut_off=self.index.cut_off,
            descriptors=len(examples),
            looks_like=looks,
            cached=is_kept,
        )
        log_search(_line(results, self.source), _counts(describer, is_kept))
        return results

    def _question(self, state: State, x: Descriptors, examples: Sequence[Example], exclude_examples: bool) -> Question:
        stored = np.unique([example.image.pk for example in examples if example.image is not None]).astype(np.int64)
        with self._timed("database"):
            allowed = allowed_for(self.index, self.filters)
            return Question.now(
                self.index,
                state,
                x=x,
                weights=np.array([example.weight for example in examples], np.float64),
                stored=stored,
                exclude_stored=exclude_examples,
                k=self.k,
                offset=self.offset,
                filters=self.filters,
                allowed=allowed,
                expansion=self.expansion,
                min_probability=self.min_probability,
            )

    def _answer(self, question: Question) -> tuple[Answer, dict[int, Image], bool]:
        """The answer, the rows of its hits, and whether it was kept from an equal question before."""
        lookup = Lookup(self.gallery)
        if not answers.is_on:
            return *self._searched(question, lookup), False
        if (kept := self._kept(question, lookup)) is not None:
            return *kept, True
        with answers.turn(question.key) as waited:  # who asks the same meanwhile waits, and takes the answer
            if waited and (kept := self._kept(question, lookup)) is not None:
                return *kept, True
            return *self._searched(question, lookup), False

    def _kept(self, question: Question, lookup: Lookup) -> tuple[Answer, dict[int, Image]] | None:
        """An answer of which every picture is still there."""
        with self._timed("cache"):
            data = answers.get(question.key)
            answer = None if data is None else Answer.from_bytes(data)
        if answer is None:
            return None
        with self._timed("database"):
            images = lookup.images([hit.id for hit in answer.hits])
        return (answer, images) if len(images) == len(answer.hits) else None

    def _searched(self, question: Question, lookup: Lookup) -> tuple[Answer, dict[int, Image]]:
        query, length = self._query(question)
        ranking, state = live(self.index).search(
            query,
            self.k,
            lookup,
            offset=self.offset,
            allowed=question.allowed,
            excluded=question.stored if question.exclude_stored else None,
            rules=self._rules(question.state, length),
        )
        with self._timed("database"):
            images = lookup.images([candidate.id for candidate in ranking.hits])
        for part, milliseconds in ranking.timings_ms.items():
            self.timings_ms[part] += milliseconds
        answer = self._made(ranking, images, length)
        # Not where something moved on meanwhile, or where what was found may depend on more than the question says.
        if answers.is_on and state is question.state and not ranking.narrowed and not _is_makeshift(state):
            with self._timed("cache"):
                answers.put(question.key, answer.to_bytes(), question.holds_s)
        return answer, images

    def _query(self, question: Question) -> tuple[Descriptors, float]:
        """(dim,) of all examples together, and the length of the mean that it was made of.

        What is liked is expanded; what is not is taken off after that.
        """
        x, weights, state = question.x, question.weights, question.state
        query, length = liked(x, weights)
        if self.expansion:
            with self._timed("expansion"):
                set_threads(settings.FAISS_THREADS or 1)
                banned = np.union1d(question.stored, state.masked)
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

    def _made(self, ranking: Ranking, images: Mapping[int, Image], length: float) -> Answer:
        there = [candidate for candidate in ranking.hits if candidate.id in images]
        probabilities = _probabilities(self.calibration, [length * candidate.score for candidate in there])
        hits = [
            Answered(candidate.id, candidate.score, probability, candidate.reasons)
            for candidate, probability in zip(there, probabilities, strict=True)
        ]
        return Answer(tuple(hits), ranking.has_more, tuple(ranking.tiers))

    def _hits(self, answer: Answer, images: Mapping[int, Image]) -> list[Hit]:
        return [
            Hit(images[hit.id], hit.score, self.offset + place, _said(hit.reasons), hit.probability)
            for place, hit in enumerate(answer.hits, start=1)
        ]

    def _finish_timings(self, is_kept: bool) -> None:
        """An answer that was kept took no search: it says ``cached`` instead of ``cache``, the time to find it."""
        if is_kept:
            self.timings_ms["cached"] = self.timings_ms.pop("cache")
            for part in SEARCHING:
                self.timings_ms.pop(part, None)
        self.timings_ms["total"] = 1000 * (time.perf_counter() - self._started)

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


def _said(reasons: Sequence[Reason]) -> tuple[Moved, ...]:
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


def _counts(describer: Describer, is_kept: bool) -> Counts:
    return Counts(int(is_kept), int(answers.is_on and not is_kept), describer.kept, describer.made)


def _is_makeshift(state: State) -> bool:
    """Whether exact search stands in for a server that is down."""
    return bool(getattr(state.pipeline.index, "is_down", False))
