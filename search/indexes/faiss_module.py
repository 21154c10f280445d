"""FAISS, imported in one place: its own type stubs leave out half of it, and its loader talks too much."""

from __future__ import annotations

import importlib
import logging
from typing import Any

logging.getLogger("faiss.loader").setLevel(logging.WARNING)
faiss: Any = importlib.import_module("faiss")
