"""Everything that shapes an answer, and the key under which it is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

from search.catalog_changes import NONE, Catalog, catalog_of
from search.examples import Numbers
from search.expansion import Expansion
from search.filters import Filters
from search.indexes import Selection
from search.models import SearchIndex
from search.query_cache import digest, key_of
from search.serving import State
from search.source_version import version
from search.types import Descriptors, Ids

_digests: WeakKeyDictionary[Selection, str] = WeakKeyDictionary()


@dataclass(frozen=True)
class Question:
    """``x`` (n, dim) and ``weights`` (n,) of the examples; ``stored``: ids of those that are stored pictures.

    ``allowed``: what ``filters`` let through now. ``catalog``: read before anything that is searched.
    """

    index: SearchIndex
    state: State
    x: Descriptors
    weights: Numbers
    stored: Ids
    exclude_stored: bool
    k: int
    offset: int
    filters: Filters
    allowed: Selection | None
    expansion: Expansion
    min_probability: float | None
    catalog: Catalog

    @classmethod
    def now(cls, index: SearchIndex, state: State, **asked: object) -> Question:
        """Of this moment: the state of the catalog is read."""
        return cls(index=index, state=state, catalog=catalog_of(index.collection_id), **asked)  # type: ignore[arg-type]

    @cached_property
    def key(self) -> str:
        """Another one for whatever could be answered otherwise, the same in all processes of a site."""
        state, configured = self.state, self.state.index
        descriptors_from = (
            state.build.pk if state.build else None,
            state.side.content,
            digest(state.masked),
            self.index.feature_model.fingerprint,
        )
        ranking = (
            configured.search_params,
            configured.fine_depth,
            configured.rules_depth,
            configured.rules,
            asdict(self.expansion),
            self.index.calibration,
            self.min_probability,
        )
        asked = (
            digest(self.x, self.weights, self.stored),
            self.exclude_stored,
            self.k,
            self.offset,
            self.filters.to_query(),
            _digest(self.allowed),
        )
        # Whatever happens to products, only rules can tell; filters have told what passes them.
        products = self.catalog.products if state.pipeline.rules else NONE
        where = (self.index.collection_id, self.index.pk, self.index.created, self.catalog.pictures, products)
        return key_of("answer", version(), where, descriptors_from, ranking, asked)

    @property
    def holds_s(self) -> float:
        """Seconds for which nothing but a change gives another answer."""
        return min((rule.holds_s for rule in self.state.pipeline.rules), default=float("inf"))


def _digest(allowed: Selection | None) -> str:
    """Reckoned once for each selection: they are kept as long as nothing changes, and may hold millions of ids."""
    if allowed is None:
        return ""
    if (known := _digests.get(allowed)) is None:
        known = _digests[allowed] = digest(allowed.ids)
    return known
