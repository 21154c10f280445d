"""What 8 bits cost, and that a model in 8 bits serves nobody before that is known and small enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from catalog.errors import LookalikeError, gettext_noop

if TYPE_CHECKING:
    from search.models.features import FeatureModel

MAP, NEIGHBOURS = "mAP", "neighbours"  # what ``quantisation["loss"]`` is a loss of
ACCEPTED = "accepted"  # in ``quantisation``: who accepted a loss larger than allowed, and when


class EightBitsUnmeasured(LookalikeError):
    code = "eight_bits_unmeasured"
    text = gettext_noop("%(model)s is in 8 bits, and what that costs was not measured yet.")
    cure = gettext_noop("Measure it: manage.py quantise COLLECTION --measure-again '%(model)s'.")
    status = 409


class EightBitsTooCostly(LookalikeError):
    code = "eight_bits_too_costly"
    text = gettext_noop("%(model)s lost %(loss)s by its 8 bits, more than the %(allowed)s that are allowed.")
    cure = gettext_noop(
        "Accept the loss (an action of the feature model, or manage.py quantise --accept '%(model)s'), "
        "raise %(setting)s, or stay with the float model."
    )
    status = 409


def check_may_serve(model: FeatureModel) -> None:
    """Raise EightBitsUnmeasured or EightBitsTooCostly for a model in 8 bits that may not be searched with."""
    found: dict[str, Any] = model.quantisation
    if model.quantised_from_id is None and not found:
        return
    if "loss" not in found:
        raise EightBitsUnmeasured(model=model)
    allowed = allowed_loss(found)
    if found["loss"] > allowed and ACCEPTED not in found:
        setting = "QUANTISATION_MAX_LOSS" if found["loss_of"] == MAP else "QUANTISATION_MAX_CHANGED"
        loss, most = loss_told(found), f"{allowed:g}" if found["loss_of"] == MAP else f"{allowed:.0%}"
        raise EightBitsTooCostly(model=model, loss=loss, allowed=most, setting=setting)


def allowed_loss(found: dict[str, Any]) -> float:
    return float(settings.QUANTISATION_MAX_LOSS if found["loss_of"] == MAP else settings.QUANTISATION_MAX_CHANGED)


def loss_told(found: dict[str, Any]) -> str:
    """``0.0031 of mAP``, or how many of the first ten neighbours changed."""
    if found["loss_of"] == MAP:
        return gettext("%(loss).4f of mAP") % {"loss": found["loss"]}
    return gettext("%(share)s of the first ten neighbours") % {"share": f"{found['loss']:.1%}"}


def clean_may_serve(model: FeatureModel, field: str) -> None:
    """For forms: the same as a ValidationError at ``field``."""
    try:
        check_may_serve(model)
    except LookalikeError as error:
        raise ValidationError({field: error.render(gettext)}) from error
