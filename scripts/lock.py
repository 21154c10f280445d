#!/usr/bin/env python3
"""Write constraints.txt from what is installed here: ``python scripts/lock.py`` in the environment to lock.

Only what the project and its extras ask for, directly or not, as name==version. Left out: the CUDA
libraries of torch, which torch itself pins and which differ from machine to machine.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("dev", "torch", "heic", "medical", "render")
OWN_PINS = re.compile(r"nvidia-|cuda-|triton|pip$|setuptools$|lookalike$")
HEAD = """\
# Versions that were tested together. pip takes them with -c; pyproject.toml holds the ranges.
# Refresh: make a new virtual environment, pip install -e '.[dev,torch,render]' without -c, run the tests,
# then python scripts/lock.py
"""


def closure(name: str, extras: tuple[str, ...], found: dict[str, str]) -> None:
    for text in distribution(name).requires or ():
        need = Requirement(text)
        if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            continue
        try:
            there = distribution(need.name)
        except PackageNotFoundError:
            continue
        key = re.sub(r"[-_.]+", "-", there.name).lower()
        if key not in found:
            found[key] = there.version.split("+")[0]
            closure(need.name, tuple(need.extras), found)


def main() -> None:
    found: dict[str, str] = {}
    closure("lookalike", EXTRAS, found)
    lines = [f"{name}=={version}\n" for name, version in sorted(found.items()) if not OWN_PINS.match(name)]
    (ROOT / "constraints.txt").write_text(HEAD + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
