"""FAISS search parameters for one call: nothing is ever set on an index that others search too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.indexes.base import BadParameter
from search.indexes.faiss_module import faiss
from search.indexes.parts import parts_of


@dataclass(frozen=True)
class Knob:
    """A search parameter. ``widens``: a higher value looks at more of the index, up to ``most``."""

    default: float
    most: float
    widens: bool = True
    kind: type[int] | type[float] = int
    least: int = 1


def knobs_of(index: Any) -> dict[str, Knob]:
    """The search parameters an index has, by FAISS's own names.

    qb: bits to which a RaBitQ query is rounded; 0 keeps it in float32, slower and a little more exact.
    """
    knobs: dict[str, Knob] = {}
    for part in parts_of(index):
        if isinstance(part, faiss.IndexRefine):
            knobs["k_factor"] = Knob(float(part.k_factor), 1e6, widens=False, kind=float)
        elif isinstance(part, faiss.IndexIVF):
            knobs["nprobe"] = Knob(int(part.nprobe), int(part.nlist))
        elif isinstance(part, faiss.IndexHNSW):
            knobs["efSearch"] = Knob(int(part.hnsw.efSearch), 4096)
        if isinstance(part, faiss.IndexIVFRaBitQ | faiss.IndexRaBitQ):
            knobs["qb"] = Knob(int(part.qb), 8, widens=False, least=0)
    return knobs


def check_params(knobs: Mapping[str, Knob], factory: str, params: Mapping[str, Any]) -> None:
    """Raise BadParameter for a name the index does not have, or a value it cannot take."""
    choices = ", ".join(knobs) or "none"
    for name, value in params.items():
        knob = knobs.get(name)
        if knob is None:
            raise BadParameter(factory=factory, name=name, choices=choices)
        number = isinstance(value, knob.kind | int) and not isinstance(value, bool)
        if not number or value < knob.least or (name == "qb" and value > knob.most):
            raise BadParameter(factory=factory, name=f"{name}={value!r}", choices=choices)


def search_parameters(index: Any, selector: Any, values: Mapping[str, Any]) -> Any:
    """SearchParameters shaped like the index: the selector and the values where each belongs."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=search_parameters(index.index, selector, values))
    if isinstance(index, faiss.IndexRefine):
        base = search_parameters(index.base_index, selector, values)
        factor = float(values.get("k_factor", index.k_factor))
        return faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=base)
    if isinstance(index, faiss.IndexIVF):
        return _of_cells(index, selector, values)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(
            **_selected(selector), efSearch=int(values.get("efSearch", index.hnsw.efSearch))
        )
    if isinstance(index, faiss.IndexRaBitQ):
        return faiss.RaBitQSearchParameters(**_selected(selector), qb=int(values.get("qb", index.qb)))
    return faiss.SearchParameters(**_selected(selector)) if selector is not None else None


def _of_cells(index: Any, selector: Any, values: Mapping[str, Any]) -> Any:
    given = {**_selected(selector), "nprobe": int(values.get("nprobe", index.nprobe))}
    if isinstance(index, faiss.IndexIVFRaBitQ):
        return faiss.IVFRaBitQSearchParameters(**given, qb=int(values.get("qb", index.qb)))
    return (faiss.IVFPQSearchParameters if isinstance(index, faiss.IndexIVFPQ) else faiss.SearchParametersIVF)(**given)


def _selected(selector: Any) -> dict[str, Any]:
    return {} if selector is None else {"sel": selector}
