"""System checks of the search side: settings that would only fail at the first picture."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from search.extraction.runtimes import DEVICES
from search.extraction.spec import Runtime

FAISS_DEVICES = ("auto", "cpu", "cuda")
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}


@register("search")
def extraction_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    runtime = settings.EXTRACTION_RUNTIME
    if runtime not in {one.value for one in Runtime}:
        hint = f"Write one of {', '.join(Runtime)}."
        found.append(Error(f"EXTRACTION_RUNTIME={runtime!r} is no runtime.", hint=hint, id="search.E001"))
    elif runtime in PACKAGES and find_spec(PACKAGES[runtime]) is None:
        hint = f"Install {PACKAGES[runtime]}, or unset EXTRACTION_RUNTIME."
        found.append(Error(f"EXTRACTION_RUNTIME={runtime} is not installed.", hint=hint, id="search.E002"))
    if settings.EXTRACTION_DEVICE not in DEVICES:
        hint = f"Write one of {', '.join(DEVICES)}."
        message = f"EXTRACTION_DEVICE={settings.EXTRACTION_DEVICE!r} is no device."
        found.append(Error(message, hint=hint, id="search.E003"))
    if settings.FAISS_DEVICE not in FAISS_DEVICES:
        hint = f"Write one of {', '.join(FAISS_DEVICES)}."
        found.append(Error(f"FAISS_DEVICE={settings.FAISS_DEVICE!r} is no device.", hint=hint, id="search.E005"))
    if settings.EXTRACTION_BATCH < 1:
        found.append(Error("EXTRACTION_BATCH must be 1 or more.", id="search.E004"))
    if not find_spec("openvino") and not find_spec("onnxruntime"):
        hint = "Install openvino or onnxruntime."
        message = "No runtime for networks is installed: only the classical descriptor works."
        found.append(Warning(message, hint=hint, id="search.W001"))
    return found


@register("search")
def milvus_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    uri = settings.MILVUS_URI
    if uri and not uri.startswith(("http://", "https://")):
        hint = "Write the server's address, for example http://milvus:19530."
        found.append(Error("MILVUS_URI does not begin with http:// or https://.", hint=hint, id="search.E006"))
    if uri and find_spec("pymilvus") is None:
        hint = "Install it: pip install 'lookalike[milvus]'. Or unset MILVUS_URI."
        found.append(Error("MILVUS_URI is set, and pymilvus is not installed.", hint=hint, id="search.E007"))
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", settings.MILVUS_PREFIX):
        hint = "Write letters, digits and underscores, a letter first."
        found.append(Error("MILVUS_PREFIX cannot begin a collection's name.", hint=hint, id="search.E008"))
    return found


@register(Tags.database)
def milvus_indexes(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Indexes on a server that no setting names. A warning: ``migrate`` runs this, and would stop at an error."""
    if not databases or settings.MILVUS_URI:
        return []
    from search.models import Engine, SearchIndex

    try:
        names = [str(index) for index in SearchIndex.objects.filter(engine=Engine.MILVUS).select_related("collection")]
    except DatabaseError:  # before the first migration
        return []
    hint = "Set MILVUS_URI and MILVUS_TOKEN, or give these indexes the engine FAISS and build them again."
    message = f"Indexes with the engine Milvus, and MILVUS_URI is not set: {', '.join(names)}."
    return [Warning(message, hint=hint, id="search.W002")] if names else []
