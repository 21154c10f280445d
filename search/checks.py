"""System checks of the search side: settings that would only fail at the first picture."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from search.extraction.spec import Runtime

DEVICES = ("auto", "cpu", "cuda")
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
    if settings.EXTRACTION_BATCH < 1:
        found.append(Error("EXTRACTION_BATCH must be 1 or more.", id="search.E004"))
    if not find_spec("openvino") and not find_spec("onnxruntime"):
        hint = "Install openvino or onnxruntime."
        message = "No runtime for networks is installed: only the classical descriptor works."
        found.append(Warning(message, hint=hint, id="search.W001"))
    return found
