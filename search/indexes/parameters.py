"""FAISS search parameters for one call: nothing is ever set on an index that others search too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.indexes.base import BadParameter
from search.indexes.faiss_module import faiss


@dataclass(frozen=True)
class Knob:
    """A search parameter. ``widens``: a higher value looks at more of the index, up to ``most``."""

    default: float
    most: float
    widens: bool = True
    kind: type[int] | type[float] = int


def parts_of(index: Any) -> list[Any]:
    """An index and what it is wrapped around, outermost first, each as its own class."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        return [index, *parts_of(index.index)]
    if isinstance(index, faiss.IndexRefine):
        return [index, *parts_of(index.base_index)]
    return [index]


def unusable(index: Any) -> str:
    """Why an index that FAISS made cannot be used here; empty if it can."""
    for part in parts_of(index):
        if part.metric_type != faiss.METRIC_INNER_PRODUCT:
            return "it does not compare by inner product"
        if isinstance(part, faiss.IndexIDMap):
            return "ids are kept already, IDMap has no place in it"
        if isinstance(part, faiss.IndexIVF) and part.nlist < 1:
            return "it has no cells"
    return ""


def skip_polysemous_training(index: Any) -> None:
    """Product quantisers are trained for Hamming comparison by default, which takes minutes and is not used here."""
    for part in parts_of(index):
        if isinstance(part, faiss.IndexPQ | faiss.IndexIVFPQ):
            part.do_polysemous_training = False


def knobs_of(index: Any) -> dict[str, Knob]:
    """The search parameters an index has, by FAISS's own names."""
    knobs: dict[str, Knob] = {}
    for part in parts_of(index):
        if isinstance(part, faiss.IndexRefine):
            knobs["k_factor"] = Knob(float(part.k_factor), 1e6, widens=False, kind=float)
        elif isinstance(part, faiss.IndexIVF):
            knobs["nprobe"] = Knob(int(part.nprobe), int(part.nlist))
        elif isinstance(part, faiss.IndexHNSW):
            knobs["efSearch"] = Knob(int(part.hnsw.efSearch), 4096)
    return knobs


def check_params(index: Any, factory: str, params: Mapping[str, Any]) -> None:
    """Raise BadParameter for a name the index does not have, or a value it cannot take."""
    knobs = knobs_of(index)
    choices = ", ".join(knobs) or "none"
    for name, value in params.items():
        knob = knobs.get(name)
        if knob is None:
            raise BadParameter(factory=factory, name=name, choices=choices)
        number = isinstance(value, knob.kind | int) and not isinstance(value, bool)
        if not number or value < 1:
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
        kind = faiss.IVFPQSearchParameters if isinstance(index, faiss.IndexIVFPQ) else faiss.SearchParametersIVF
        return kind(**_selected(selector), nprobe=int(values.get("nprobe", index.nprobe)))
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(
            **_selected(selector), efSearch=int(values.get("efSearch", index.hnsw.efSearch))
        )
    return faiss.SearchParameters(**_selected(selector)) if selector is not None else None


def _selected(selector: Any) -> dict[str, Any]:
    return {} if selector is None else {"sel": selector}
