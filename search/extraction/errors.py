"""Why an extractor cannot be built or run."""

from __future__ import annotations

from catalog.errors import LookalikeError, gettext_noop


class ExtractionError(LookalikeError):
    code = "extraction_failed"
    status = 503


class UnknownBackbone(ExtractionError):
    code = "unknown_backbone"
    text = gettext_noop("There is no backbone named %(name)s.")
    cure = gettext_noop("Known are: %(known)s.")


class BadConfiguration(ExtractionError):
    code = "bad_extractor_configuration"
    text = gettext_noop("The feature model cannot be built: %(reason)s.")
    cure = gettext_noop("Correct it in the feature model.")


class WeightsMissing(ExtractionError):
    code = "weights_missing"
    text = gettext_noop("The weights %(weights)s are not there: %(reason)s.")
    cure = gettext_noop("Put the file there, or name another path or URL in the feature model.")


class WeightsUnverified(ExtractionError):
    code = "weights_unverified"
    text = gettext_noop("The weights %(weights)s come from the network and have no SHA-256 to be checked against.")
    cure = gettext_noop("Give the 64 hexadecimal digits of the file's SHA-256 beside the URL.")


class WeightsChanged(ExtractionError):
    code = "weights_changed"
    text = gettext_noop("%(what)s is not what it was: expected %(expected)s, found %(found)s.")
    cure = gettext_noop(
        "Bring the old file back, make a new feature model for the new one, or embed again with embed --renew."
    )


class UnsupportedNetwork(ExtractionError):
    code = "unsupported_network"
    text = gettext_noop("The network %(name)s cannot be used: %(reason)s.")
    cure = gettext_noop("Export it with one float32 input (N, 3, H, W) and an output (N, C) or (N, C, H, W).")


class RuntimeMissing(ExtractionError):
    code = "runtime_missing"
    text = gettext_noop("The runtime %(runtime)s cannot be used here: %(reason)s.")
    cure = gettext_noop("Install it, or choose another runtime or device.")
