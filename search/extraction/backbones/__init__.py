"""Families of networks, one file each, found by being there.

A family is a module with two functions: ``names()``, the backbones it knows, without loading anything,
and ``load(spec, place)``, which opens one.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Protocol, cast

from search.extraction.errors import UnknownBackbone
from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Network, Place
from search.extraction.spec import ExtractorSpec


@dataclass(frozen=True)
class Backbone:
    """An open network: how its pictures are prepared, and ``identity``, the hash of the numbers in it.

    ``fixed_size``: it takes pictures of its own size only. ``told_dim``: how many dimensions it should give by what is
    written beside it; 0: nothing is.
    """

    network: Network
    preprocessing: Preprocessing
    identity: str
    fixed_size: bool = False
    told_dim: int = 0


class Family(Protocol):
    def names(self) -> list[str]: ...
    def load(self, spec: ExtractorSpec, place: Place) -> Backbone: ...


@cache
def _families() -> dict[str, Family]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    families = [cast(Family, module) for module in modules]
    return {name: family for family in families for name in family.names()}


def names() -> list[str]:
    """Every backbone there is, those that need no torch first."""
    return list(_families())


def load(spec: ExtractorSpec, place: Place) -> Backbone:
    family = _families().get(spec.backbone)
    if family is None:
        raise UnknownBackbone(name=spec.backbone or "-", known=", ".join(names()))
    return family.load(spec, place)
