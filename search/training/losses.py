"""What a descriptor is pulled to and pushed from: losses of pytorch-metric-learning under our names.

Descriptors are unit vectors; a head, where the loss has one, holds a unit vector a class. Triplet: Schroff et al.,
FaceNet, CVPR 2015 (semi-hard mining; batch-hard: Hermans et al., In defense of the triplet loss, 2017). ArcFace: Deng
et al., CVPR 2019. Contrastive: Hadsell et al., CVPR 2006. Cross-entropy: Zhai and Wu, Classification is a strong
baseline for deep metric learning, BMVC 2019 (normalised softmax).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pytorch_metric_learning import losses, miners
from torch import Tensor, nn

from search.training.options import FinetuneOptions

JITTER = 1e-2  # added to a head's first vectors: ArcFace has no gradient where one equals a descriptor exactly


class Objective(nn.Module):  # type: ignore[misc]  # torch is not seen by mypy
    """A loss with its miner. ``forward(x, labels)``: unit vectors (n, dim) float32, int64 (n,) -> a number."""

    def __init__(self, loss: nn.Module, miner: Any = None) -> None:
        super().__init__()
        self.loss, self._miner = loss, miner

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.loss(x, labels, self._miner(x, labels) if self._miner is not None else None)

    @property
    def head(self) -> Tensor | None:
        """(dim, classes), where the loss learns a vector a class."""
        found: Tensor | None = getattr(self.loss, "W", None)
        return found

    def begin_with(self, means: Tensor, seed: int) -> None:
        """Set the head to the classes' mean descriptors (classes, dim): hundreds of steps are saved by that."""
        if self.head is None:
            return
        noise = torch.randn(means.shape, generator=torch.Generator().manual_seed(seed)) * JITTER
        with torch.no_grad():
            self.head.copy_(nn.functional.normalize(means + noise, dim=1).t())


def _triplet(options: FinetuneOptions, classes: int, dim: int) -> Objective:
    margin = options.margin_used
    mined: dict[str, Callable[[], Any]] = {
        "semihard": lambda: miners.TripletMarginMiner(margin=margin, type_of_triplets="semihard"),
        "hard": miners.BatchHardMiner,
        "all": lambda: None,
    }
    return Objective(losses.TripletMarginLoss(margin=margin), mined[options.miner]())


def _contrastive(options: FinetuneOptions, classes: int, dim: int) -> Objective:
    margin = options.margin_used
    miner = None if options.miner == "all" else miners.PairMarginMiner(pos_margin=0.0, neg_margin=margin)
    return Objective(losses.ContrastiveLoss(pos_margin=0.0, neg_margin=margin), miner)


def _arcface(options: FinetuneOptions, classes: int, dim: int) -> Objective:
    return Objective(losses.ArcFaceLoss(classes, dim, margin=options.margin_used, scale=options.scale_used))


def _cross_entropy(options: FinetuneOptions, classes: int, dim: int) -> Objective:
    return Objective(losses.NormalizedSoftmaxLoss(classes, dim, temperature=1 / options.scale_used))


_MAKE = {"triplet": _triplet, "arcface": _arcface, "contrastive": _contrastive, "cross_entropy": _cross_entropy}


def objective(options: FinetuneOptions, classes: int, dim: int) -> Objective:
    return _MAKE[options.loss](options, classes, dim)
