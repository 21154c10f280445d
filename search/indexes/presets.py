"""Named kinds of index, for those who do not want to write a factory string.

Bytes are those in memory, a picture of ``dim`` dimensions; the originals stay on disk, two bytes a dimension, and
the fine tier scores the best candidates with them. What each keeps was measured: docs/compression.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from catalog.errors import gettext_noop
from search.indexes.base import BadFactory
from search.indexes.sizes import cells_for, compact_factory

LINKS = 32  # of a graph
FEW = 1000  # pictures: below, nothing is gained by learning cells or axes
HASH_BITS = 64  # FAISS compares codes 64 bits at a time


@dataclass(frozen=True)
class Preset:
    """``title`` and ``says`` are marked for translation; ``says`` is one line: what it costs and keeps."""

    name: str
    title: str
    says: str
    make: Callable[[int, int], str]

    def factory(self, count: int, dim: int) -> str:
        """The factory string for ``count`` pictures of ``dim`` dimensions."""
        return self.make(count, dim)


def presets() -> Mapping[str, Preset]:
    """All of them by name, in the order in which they are offered."""
    return _BY_NAME


def preset_named(name: str) -> Preset:
    """Raises BadFactory."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise BadFactory(factory=name, dim=0, reason=f"the presets are {', '.join(_BY_NAME)}") from None


def _cells(code: str) -> Callable[[int, int], str]:
    return lambda count, _dim: f"{cells_for(count)},{code}"


def _always(factory: str) -> Callable[[int, int], str]:
    return lambda _count, _dim: factory


def _product(count: int, dim: int) -> str:
    """Sub-quantisers of 4 bits, one for 4 of the axes that are kept."""
    parts = max(1, min(64, dim // 4))
    return f"OPQ{parts}_{4 * parts},{cells_for(count)},PQ{parts}x4fs" if count >= FEW and dim >= 4 else "SQ8"


def _hash(bits: int) -> Callable[[int, int], str]:
    def factory(count: int, dim: int) -> str:
        fit = min(bits, dim // 8 * 8)
        return f"ITQ{fit}" if fit >= HASH_BITS else "SQ8"

    return factory


_ALL = (
    Preset(
        "exact",
        gettext_noop("Exact"),
        gettext_noop("Compares every picture: 2 bytes a dimension, nothing lost. For some ten thousand pictures."),
        _always("SQfp16"),
    ),
    Preset(
        "eight_bit",
        gettext_noop("8 bits"),
        gettext_noop("Compares every picture by 8-bit codes: 1 byte a dimension, 75 percent less than float32."),
        _always("SQ8"),
    ),
    Preset(
        "graph",
        gettext_noop("Graph"),
        gettext_noop("The fastest at high recall: a graph over full descriptors, 2 bytes a dimension and 280 more."),
        _always(f"HNSW{LINKS},SQfp16"),
    ),
    Preset(
        "balanced",
        gettext_noop("Balanced"),
        gettext_noop("A graph over 8-bit codes: 1 byte a dimension and 280 more, fast, hardly anything lost."),
        _always(f"HNSW{LINKS},SQ8"),
    ),
    Preset(
        "cells",
        gettext_noop("Cells"),
        gettext_noop("Inverted lists of full descriptors: 2 bytes a dimension, builds fast, loses at cell borders."),
        _cells("SQfp16"),
    ),
    Preset(
        "cells_eight_bit",
        gettext_noop("Cells, 8 bits"),
        gettext_noop("Inverted lists of 8-bit codes: 1 byte a dimension, fast to build, also for millions."),
        _cells("SQ8"),
    ),
    Preset(
        "compact",
        gettext_noop("Compact"),
        gettext_noop("Inverted lists of 1-bit codes: 50 to 80 bytes in all, for millions; the fine tier mends it."),
        lambda count, dim: compact_factory(count, dim) if count >= FEW else "SQ8",
    ),
    Preset(
        "product",
        gettext_noop("Product codes"),
        gettext_noop("Inverted lists of product codes: 48 bytes in all or less; loses most, needs a deep fine tier."),
        _product,
    ),
    Preset(
        "hash_256",
        gettext_noop("256-bit codes"),
        gettext_noop("Binary codes (ITQ), Hamming distance: 40 bytes in all, compares all; needs the fine tier."),
        _hash(256),
    ),
)
_BY_NAME: Mapping[str, Preset] = MappingProxyType({preset.name: preset for preset in _ALL})
