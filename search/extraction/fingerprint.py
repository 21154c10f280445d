"""What makes two descriptors comparable, in 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import json

from search.extraction.preprocess import Preprocessing
from search.extraction.spec import ExtractorSpec, Pooling

# Raise it whenever this package's code changes what descriptors come out.
CODE_VERSION = 1


def fingerprint(
    spec: ExtractorSpec,
    *,
    weights: str,
    preprocessing: Preprocessing,
    precision: str,
    maps: bool,
    sides: tuple[int, ...] = (),
    projection: str = "",
) -> str:
    """SHA-256 over everything that changes a descriptor, and over nothing else.

    ``weights`` identifies the numbers of the network wherever they lie; ``precision`` is the class of
    arithmetic ("float" for float32, bfloat16 and float16, whose descriptors agree to a cosine of about 0.999
    and may be mixed). Pooling counts only where the network gives feature ``maps``, the exponent only in GeM.
    ``sides`` are the input sizes of several scales, in pixels; those that are ``preprocessing``'s own do not count.
    ``projection`` identifies the numbers of PCA or whitening; empty: none.
    """
    pooling = spec.pooling.value if maps else "none"
    parts = {
        "code": CODE_VERSION,
        "backbone": spec.backbone,
        "layer": spec.layer,
        "weights": weights,
        "preprocessing": preprocessing.as_dict(),
        "pooling": pooling,
        "gem_p": float(spec.gem_p) if pooling == Pooling.GEM.value else None,
        "precision": precision,
        # Only where there are any: descriptors stored before these were thought of keep their fingerprint.
        **({"power": float(spec.power)} if spec.power != 1 else {}),
        **({"sides": list(sides)} if sides not in ((), (preprocessing.crop,)) else {}),
        **({"flip": True} if spec.flip else {}),
        **({"projection": projection} if projection else {}),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
