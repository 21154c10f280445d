"""manage.py add_feature_model: name an extractor configuration and check that it works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from catalog.errors import LookalikeError
from search.embedding import feature_model_prepare
from search.extraction.spec import ExtractorSpec, Pooling, Runtime
from search.extraction.weights import is_url
from search.models import FeatureModel
from search.models.features import RUNTIMES


class Command(BaseCommand):
    help = "Add a feature model: open its network, print what it gives, and keep it under a name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--backbone", required=True, help="lookalike, onnx, color_gradient, resnet50 …")
        parser.add_argument("--weights", default="", metavar="PATH|URL", help="for torchvision also: default, none")
        parser.add_argument("--sha256", default="", help="of the weights; needed with a URL")
        parser.add_argument("--layer", default="", help="torchvision: avgpool, layer4, layer3 …; onnx: an output")
        parser.add_argument("--pooling", choices=[p.value for p in Pooling], default=Pooling.MEAN.value)
        parser.add_argument("--gem-p", type=float, default=3.0, help="exponent of GeM pooling")
        parser.add_argument("--power", type=float, default=1.0, help="of the pooled values, 0.5: square roots")
        parser.add_argument("--scales", type=_numbers, default=(), metavar="LIST", help="sizes to average: 1,0.7071")
        parser.add_argument("--flip", action="store_true", help="average the mirrored picture in")
        parser.add_argument("--preprocessing", type=_object, default={}, metavar="JSON", help='e.g. {"fit": "squash"}')
        parser.add_argument("--runtime", choices=[r.value for r in RUNTIMES], default=Runtime.AUTO.value)
        parser.add_argument("--default", action="store_true", help="use it for new collections")

    def handle(self, *args: Any, **options: Any) -> None:
        spec = ExtractorSpec(
            backbone=options["backbone"],
            layer=options["layer"],
            weights=_weights(options["weights"]),
            weights_sha256=options["sha256"],
            pooling=Pooling(options["pooling"]),
            gem_p=options["gem_p"],
            power=options["power"],
            scales=options["scales"],
            flip=options["flip"],
            preprocessing=options["preprocessing"],
            runtime=Runtime(options["runtime"]),
        )
        model = self._prepared(options["name"], spec)
        if options["default"]:
            with transaction.atomic():
                FeatureModel.objects.filter(is_default=True).exclude(pk=model.pk).update(is_default=False)
                FeatureModel.objects.filter(pk=model.pk).update(is_default=True)
        self.stdout.write(f"{model.name}: {model.dim} dimensions, fingerprint {model.fingerprint}")

    def _prepared(self, name: str, spec: ExtractorSpec) -> FeatureModel:
        """The row, new or the same as before; no row is left of a model that does not open."""
        model, created = FeatureModel.objects.get_or_create(name=name, defaults=vars(spec))
        if not created and model.spec != spec:
            raise CommandError(f"There is a feature model {name} already, and it is another one. Choose another name.")
        try:
            return feature_model_prepare(model)
        except LookalikeError as error:
            if created:
                model.delete()
            raise CommandError(str(error)) from error


def _weights(weights: str) -> str:
    """Absolute where it is a file seen from here: a worker may run elsewhere."""
    path = Path(weights).expanduser()
    return str(path.resolve()) if weights and not is_url(weights) and path.is_file() else weights


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(",") if number.strip())


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value
