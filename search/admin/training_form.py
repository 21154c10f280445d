"""The form that starts a fine-tuning: a few fields that matter, the rest folded away."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.admin.base import ModelForm, error_text
from catalog.errors import LookalikeError
from search.feature_models import NameTaken
from search.finetunings import finetune_create
from search.models import TrainingRun
from search.training.errors import BadTrainingOptions, NotTrainable, TooFewLabels
from search.training.options import HOLD_OUTS, LOSSES, MINERS, PRECISIONS, FinetuneOptions
from search.training_labels import UnknownLabels
from search.trainings import TrainingUnderWay

DEFAULTS = FinetuneOptions()
FIELD_OF: dict[type[LookalikeError], str] = {
    UnknownLabels: "labels", TooFewLabels: "labels", NotTrainable: "base", NameTaken: "name", TrainingUnderWay: "name",
}  # fmt: skip


def _choice(label: Any, choices: tuple[str, ...], help_text: Any = "") -> Any:
    return forms.ChoiceField(label=capfirst(label), choices=[(name, name) for name in choices], help_text=help_text)


def _whole(label: Any, help_text: Any = "") -> Any:
    return forms.IntegerField(label=capfirst(label), help_text=help_text, required=False)


def _number(label: Any, help_text: Any = "") -> Any:
    number = forms.NumberInput(attrs={"step": "any"})
    return forms.FloatField(label=capfirst(label), help_text=help_text, required=False, widget=number)


class FinetuneForm(ModelForm):
    """Starts a run; what the service refuses is an error of the field it is about."""

    labels = forms.CharField(
        label=capfirst(_("labels")),
        help_text=_("What is alike: product, category, attribute:NAME or benchmark:NAME."),
    )
    loss = _choice(_("loss"), LOSSES, _("triplet and contrastive compare pictures; the others learn a vector a class."))
    side = _whole(
        _("side"), _("Pixels of the pictures trained on. 0: the network's own. 160 is twice as quick as 224.")
    )
    epochs = _whole(_("epochs"), _("How often each picture is seen."))
    rate = _number(_("learning rate"), _("Of the last stage. Less for a few hundred pictures."))
    augment = _number(_("augmentation"), _("0: pictures as they are. 1: strongly cropped, coloured, partly hidden."))
    freeze = _number(_("freeze"), _("Share of the first stages that stay as they are. 0.5 for a small set."))
    freeze_norm = forms.BooleanField(
        label=capfirst(_("freeze batch norm")),
        required=False,
        help_text=_("Its statistics stay as they are: a small set would spoil them."),
    )
    patience = _whole(_("patience"), _("Measurings without a better mAP until it stops. 0: never."))
    hold_out = _number(_("hold out"), _("Share of the pictures that only measures."))
    hold_out_by = _choice(
        _("hold out by"),
        HOLD_OUTS,
        _("classes: whole ones, never seen. pictures: some of each class. auto: classes for many products."),
    )
    with_queries = forms.BooleanField(
        label=capfirst(_("train on queries too")),
        required=False,
        help_text=_("Query pictures and the queries of benchmarks. Do not measure on them then."),
    )
    steps = _whole(_("steps"), _("Batches, instead of epochs. 0: as many as the epochs need."))
    classes = _whole(_("classes in a batch"))
    per_class = _whole(_("pictures of a class in a batch"))
    first_rate = _number(_("rate of the first stage"), _("As a share of the last one's."))
    head_rate = _number(_("rate of class vectors"), _("Times the last stage's."))
    weight_decay = _number(_("weight decay"))
    warm_up = _number(_("warm-up"), _("Share of the steps in which the rate rises."))
    margin = _number(_("margin"), _("Empty: what suits the loss. Degrees for arcface."))
    scale = _number(_("scale"), _("Of cosines in arcface and cross_entropy. Empty: what suits the loss."))
    miner = _choice(_("miner"), MINERS, _("Of triplets: semihard, hard (one a picture) or all."))
    precision = _choice(_("precision"), PRECISIONS, _("auto: narrow numbers where the machine is quicker with them."))
    evaluate_every = _whole(_("measure every"), _("Steps. 0: once an epoch."))
    checkpoint_every = _whole(_("checkpoint every"), _("Steps. 0: once an epoch."))
    seed = _whole(_("seed"))
    user: Any = None

    class Meta:
        model = TrainingRun
        fields = ("collection", "base", "name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("collection", "base"):
            self.fields[name].required = True
        self.fields["base"].help_text = gettext(
            "A torchvision network, the one that ships (lookalike), or a model that fine-tuning made."
        )
        for field in fields(FinetuneOptions):
            self.fields[field.name].initial = getattr(DEFAULTS, field.name)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if self.errors:
            return given
        chosen = {field.name: given[field.name] for field in fields(FinetuneOptions)}
        empty = {name for name, value in chosen.items() if value is None and name not in ("margin", "scale")}
        try:
            options = FinetuneOptions.from_dict({name: value for name, value in chosen.items() if name not in empty})
            self.run = finetune_create(given["collection"], given["base"], given["name"], options, self.user)
        except BadTrainingOptions as error:
            self.add_error(str(error.params["option"]), error_text(error))
        except LookalikeError as error:
            self.add_error(FIELD_OF.get(type(error)), error_text(error))
        return given

    def _post_clean(self) -> None:
        """The service has validated and made the row."""

    def save(self, commit: bool = True) -> TrainingRun:
        return self.run

    def save_m2m(self) -> None:
        """A run has none."""


FIELDSETS: Any = (
    (None, {"fields": ("collection", "base", "name", "labels", "loss")}),
    (_("Learning"), {"fields": ("side", "epochs", "rate", "augment", "freeze", "freeze_norm")}),
    (_("Measuring"), {"fields": ("hold_out", "hold_out_by", "patience", "with_queries")}),
    (_("More"), {"classes": ("collapse",), "fields": (
        "steps", ("classes", "per_class"), ("first_rate", "head_rate"), ("weight_decay", "warm_up"),
        ("margin", "scale"), "miner", "precision", ("evaluate_every", "checkpoint_every"), "seed",
    )}),
)  # fmt: skip


def told(results: dict[str, Any]) -> list[tuple[Any, Any]]:
    """What a fine-tuning was trained on, as rows of a table."""
    if "trained_on" not in results:
        return []
    trained, held = results["trained_on"], results["held_out"]
    unseen = gettext("classes never trained on") if held["unseen_classes"] else gettext("other pictures of the classes")
    left = [f"{count:,} {_reason(why)}" for why, count in results["left_out"].items() if count]
    return [
        (gettext("labels"), trained["labels"]),
        (gettext("trained on"), f"{_pictures(trained)} · SHA-256 {trained['sha256'][:16]}"),
        (gettext("held out"), f"{_pictures(held)}: {unseen}"),
        (gettext("queries"), gettext("trained on too") if trained["with_queries"] else gettext("not trained on")),
        (gettext("left out"), ", ".join(left) or gettext("nothing")),
        (gettext("held-out classes"), ", ".join(held["class_names"])),
        (gettext("arithmetic"), f"{results['arithmetic']}, {results['side']} px"),
    ]


def _reason(why: str) -> str:
    known = {
        "queries": gettext("queries"),
        "unlabelled": gettext("without a label"),
        "alone in their class": gettext("alone in their class"),
        "unreadable": gettext("unreadable"),
    }
    return known.get(why, why)


def _pictures(part: dict[str, Any]) -> str:
    pictures = ngettext("%d picture", "%d pictures", part["pictures"]) % part["pictures"]
    classes = ngettext("%d class", "%d classes", part["classes"]) % part["classes"]
    return f"{pictures}, {classes}"
