"""Milvus's index types: how one is written, what it is built and searched with.

A factory is Milvus's own name, with build parameters in brackets where the usual ones will not do:
``HNSW``, ``IVF_SQ8(nlist=1024)``, ``HNSW_SQ(M=32, efConstruction=200, sq_type=SQ8)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog.errors import gettext_noop
from search.indexes.base import BadFactory, BadParameter

Value = int | float | str | bool
MOST_CELLS, WIDEST = 65_536, 32_768
FLAT_UP_TO, HNSW_UP_TO = 5_000, 500_000


class BadMilvusIndex(BadFactory):
    text = gettext_noop("Milvus cannot make an index '%(factory)s' of %(dim)s dimensions: %(reason)s.")
    cure = gettext_noop("Write an index type such as FLAT, IVF_SQ8(nlist=1024) or HNSW(M=32), or leave it empty.")


@dataclass(frozen=True)
class Type:
    """``build`` and ``search``: parameter -> whether it must be a whole number. ``widens``: which look at more."""

    build: Mapping[str, bool] = field(default_factory=dict)
    search: Mapping[str, bool] = field(default_factory=dict)
    widens: str = ""


_IVF, _PROBE = {"nlist": True}, {"nprobe": True}
_GRAPH, _EF = {"M": True, "efConstruction": True}, {"ef": True}
_REFINE, _REFINE_K = {"refine": False, "refine_type": False}, {"refine_k": False}
TYPES: Mapping[str, Type] = {
    "FLAT": Type(),
    "IVF_FLAT": Type(_IVF, _PROBE, "nprobe"),
    "IVF_SQ8": Type(_IVF, _PROBE, "nprobe"),
    "IVF_PQ": Type({**_IVF, "m": True, "nbits": True}, _PROBE, "nprobe"),
    "IVF_RABITQ": Type({**_IVF, **_REFINE}, {**_PROBE, "rbq_query_bits": True, **_REFINE_K}, "nprobe"),
    "SCANN": Type({**_IVF, "with_raw_data": False}, {**_PROBE, "reorder_k": True}, "nprobe"),
    "HNSW": Type(_GRAPH, _EF, "ef"),
    "HNSW_SQ": Type({**_GRAPH, "sq_type": False, **_REFINE}, {**_EF, **_REFINE_K}, "ef"),
    "HNSW_PQ": Type({**_GRAPH, "m": True, "nbits": True, **_REFINE}, {**_EF, **_REFINE_K}, "ef"),
    "HNSW_PRQ": Type({**_GRAPH, "m": True, "nrq": True, "nbits": True, **_REFINE}, {**_EF, **_REFINE_K}, "ef"),
    "DISKANN": Type({}, {"search_list": True}, "search_list"),
    "AUTOINDEX": Type({}, {"level": True}),
    "GPU_BRUTE_FORCE": Type(),
    "GPU_IVF_FLAT": Type(_IVF, _PROBE, "nprobe"),
    "GPU_IVF_PQ": Type({**_IVF, "m": True, "nbits": True}, _PROBE, "nprobe"),
    "GPU_CAGRA": Type(
        {"intermediate_graph_degree": True, "graph_degree": True, "build_algo": False},
        {"itopk_size": True, "search_width": True},
        "itopk_size",
    ),
}
DEFAULT_M = {"HNSW": 32, "HNSW_SQ": 32, "HNSW_PQ": 32, "HNSW_PRQ": 32}


@dataclass(frozen=True)
class Kind:
    """One factory, read."""

    factory: str
    name: str
    given: Mapping[str, Value]

    @property
    def type(self) -> Type:
        return TYPES[self.name]

    def build_params(self, count: int, dim: int) -> dict[str, Value]:
        """What the index is built with for ``count`` rows: as given, else about 4 sqrt(n) cells, M 32, and so on."""
        usual: dict[str, Value] = {}
        if "nlist" in self.type.build:
            usual["nlist"] = cells(count)
        if "M" in self.type.build:
            usual |= {"M": DEFAULT_M[self.name], "efConstruction": 200}
        if "m" in self.type.build:
            usual |= {"m": _pieces(dim), "nbits": 8}
        if "nrq" in self.type.build:
            usual["nrq"] = 2
        if "sq_type" in self.type.build:
            usual["sq_type"] = "SQ8"
        return {**usual, **self.given}

    def search_params(self, built: Mapping[str, Value]) -> dict[str, Value]:
        """What it is searched with where nobody says: Milvus's own (nprobe 8, ef = k) find too little."""
        usual: dict[str, Value] = {"ef": 128} if "ef" in self.type.search else {}
        if "nprobe" in self.type.search:
            nlist = int(built["nlist"])
            usual["nprobe"] = min(nlist, max(8, nlist // 32))
        if "reorder_k" in self.type.search:
            usual["reorder_k"] = 200
        return usual

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise BadParameter for a search parameter it does not have, or a value that it cannot take."""
        choices = ", ".join(self.type.search) or "none"
        for name, value in params.items():
            if name not in self.type.search:
                raise BadParameter(factory=self.factory, name=name, choices=choices)
            kinds = int if self.type.search[name] else (int, float)
            if not isinstance(value, kinds) or isinstance(value, bool) or value < 1:
                raise BadParameter(factory=self.factory, name=f"{name}={value!r}", choices=choices)

    def code_bytes(self, count: int, dim: int, built: Mapping[str, Value]) -> int:
        """Bytes of the index in the server's memory by arithmetic, ids included: Milvus does not tell."""
        cells = int(built.get("nlist", 0)) * dim * 4
        graph = count * 8 * int(built.get("M", 0))  # 2 M links of four bytes on the lowest level
        return int(count * (8 + self._row_bytes(dim, built))) + cells + graph

    def _row_bytes(self, dim: int, built: Mapping[str, Value]) -> float:
        if self.name.endswith(("PQ", "PRQ")):
            return int(built["m"]) * int(built["nbits"]) / 8 * int(built.get("nrq", 1))
        if self.name == "IVF_RABITQ":
            return dim / 8 + 8
        if self.name == "SCANN":
            return dim / 4 + (0 if built.get("with_raw_data") is False else 4 * dim)
        if self.name in {"IVF_SQ8", "HNSW_SQ"}:
            return {"SQ6": 0.75, "BF16": 2.0, "FP16": 2.0}.get(str(built.get("sq_type")), 1.0) * dim
        return 4.0 * dim if self.name != "DISKANN" else dim / 4


def cells(count: int) -> int:
    """A power of two near 4 sqrt(n), with at least 39 points a cell, as FAISS's guidelines have it."""
    wanted = 2 ** round(math.log2(4 * math.sqrt(max(1, count))))
    return int(max(1, min(wanted, count // 39, MOST_CELLS)))


def _pieces(dim: int) -> int:
    """Bytes of a product code: a piece every four dimensions, as many as divide ``dim``."""
    return max(m for m in range(1, max(1, dim // 4) + 1) if dim % m == 0)


def kind_of(factory: str, dim: int) -> Kind:
    """Raises BadMilvusIndex."""
    found = re.fullmatch(r"\s*([A-Z][A-Z0-9_]*)\s*(?:\(([^()]*)\))?\s*", factory)
    if found is None or found[1] not in TYPES:
        raise BadMilvusIndex(factory=factory, dim=dim, reason=f"it has {', '.join(TYPES)}")
    kind = Kind(factory, found[1], _arguments(found[2] or "", factory, dim))
    for name, value in kind.given.items():
        whole = kind.type.build.get(name)
        if whole is None:
            reason = f"{kind.name} has no {name}, but {', '.join(kind.type.build) or 'nothing to set'}"
            raise BadMilvusIndex(factory=factory, dim=dim, reason=reason)
        if whole and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise BadMilvusIndex(factory=factory, dim=dim, reason=f"{name} is a whole number from 1 on")
    m = kind.given.get("m")
    if isinstance(m, int) and dim % m:
        raise BadMilvusIndex(factory=factory, dim=dim, reason=f"m={m} does not divide the dimensions")
    return kind


def _arguments(text: str, factory: str, dim: int) -> dict[str, Value]:
    given: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, is_there, value = (side.strip() for side in part.partition("="))
        if not (is_there and name and value):
            raise BadMilvusIndex(factory=factory, dim=dim, reason=f"'{part}' is not name=value")
        given[name] = _value(value)
    return given


def _value(text: str) -> Value:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return text


def auto_kind(count: int) -> str:
    """The index type for ``count`` pictures: exact, then a graph, then cells of 8-bit codes."""
    if count <= FLAT_UP_TO:
        return "FLAT"
    return "HNSW" if count <= HNSW_UP_TO else "IVF_SQ8"


def counterpart(faiss_factory: str, dim: int) -> str:
    """Milvus's name for a preset's FAISS factory. Raises BadMilvusIndex where it has none."""
    text = re.sub(r",(RFlat|Refine\(.*\))$", "", faiss_factory)
    cells_of = re.match(r"IVF(\d+)", text)
    nlist = f"nlist={cells_of[1]}" if cells_of else ""
    if text in {"Flat", "SQfp16", "SQ8"}:
        return "IVF_SQ8" if text == "SQ8" else "FLAT"
    if found := re.fullmatch(r"HNSW(\d+)(?:,Flat|,SQfp16)?", text):
        return f"HNSW(M={found[1]})"
    if found := re.fullmatch(r"HNSW(\d+),SQ8", text):
        return f"HNSW_SQ(M={found[1]}, sq_type=SQ8)"
    if cells_of and re.fullmatch(r"IVF\d+(_HNSW\d+)?,(Flat|SQfp16)", text):
        return f"IVF_FLAT({nlist})"
    if cells_of and re.fullmatch(r"IVF\d+(_HNSW\d+)?,SQ8", text):
        return f"IVF_SQ8({nlist})"
    if cells_of and re.fullmatch(r"IVF\d+(_HNSW\d+)?,RaBitQ.*", text):
        return f"IVF_RABITQ({nlist})"
    if cells_of and (found := re.fullmatch(r"IVF\d+(?:_HNSW\d+)?,PQ(\d+)(?:x8)?", text)):
        return f"IVF_PQ({nlist}, m={found[1]})"
    reason = "the preset has no counterpart there"
    raise BadMilvusIndex(factory=faiss_factory, dim=dim, reason=reason)
