"""The loop that guides show: open, transform, forward, store, one picture after the other.

A child of bench_extraction: ready when it writes a line, then one round over the collection for each line it reads,
answered with the seconds of that round.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

import django
import PIL.Image


def main() -> None:
    django.setup()
    from django.core.files.storage import default_storage

    from catalog.models import Image
    from search.models import Embedding, FeatureModel

    # By name: torch is imported by the torch runtime alone, and this is not the product's own path.
    torch, torchvision = import_module("torch"), import_module("torchvision")
    transforms = torchvision.transforms
    network = torchvision.models.resnet50(weights=None)
    network.fc = torch.nn.Identity()
    network.eval()
    transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    images = list(Image.objects.filter(collection_id=int(sys.argv[1])).order_by("pk"))
    model = FeatureModel.objects.create(name="guide", backbone="resnet50", dim=2048)

    def embed(image: Image) -> None:
        with torch.no_grad(), PIL.Image.open(default_storage.path(str(image.file.name))) as picture:
            features = network(transform(picture.convert("RGB")).unsqueeze(0))[0].numpy()
        features /= (features**2).sum() ** 0.5
        Embedding.objects.create(image=image, feature_model=model, vector=features.astype("<f2").tobytes())

    def once() -> tuple[float, float]:
        start, core = time.perf_counter(), time.process_time()
        for image in images:
            embed(image)
        return time.perf_counter() - start, time.process_time() - core

    for image in images[:8]:
        embed(image)
    print("ready", flush=True)
    for _ in sys.stdin:
        Embedding.objects.filter(feature_model=model).delete()
        print(*once(), flush=True)


if __name__ == "__main__":
    main()
