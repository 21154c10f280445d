"""What learns: a trunk, a loss and an optimiser, stepped a batch at a time; and its whole state."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from search.extraction.spec import ExtractorSpec
from search.training.descriptors import pooled
from search.training.errors import Diverged
from search.training.losses import Objective
from search.training.options import FinetuneOptions
from search.training.precision import Arithmetic
from search.training.trunks import Trunk, norms, stages


class Learner:
    """Holds what moves. ``step`` batches were learnt from."""

    def __init__(
        self, trunk: Trunk, objective: Objective, spec: ExtractorSpec, options: FinetuneOptions, arithmetic: Arithmetic,
        steps: int,
    ) -> None:  # fmt: skip
        self.module = arithmetic.placed(trunk.module)
        self.objective = objective.to(arithmetic.device)
        self._spec, self._options, self._arithmetic = spec, options, arithmetic
        how = trunk.preprocessing
        self._mean, self._std = (
            torch.tensor(part, device=arithmetic.device).reshape(1, 3, 1, 1) for part in (how.mean, how.std)
        )
        self._still = self._freeze()
        self.optimiser = torch.optim.AdamW(self._groups())
        warm = max(1, round(options.warm_up * steps))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: rate_at(step, warm, steps))
        self._scaler = arithmetic.scaler()
        self.step = 0

    def _freeze(self) -> list[nn.Module]:
        """Stop the first stages; the norm layers whose statistics stay as they are."""
        parts = stages(self.module)
        frozen = {id(one) for stage in parts[: math.floor(self._options.freeze * len(parts))] for one in stage}
        for parameter in self.module.parameters():
            parameter.requires_grad_(id(parameter) not in frozen)
        still = norms(self.module)
        return still if self._options.freeze_norm else [one for one in still if id(one.weight) in frozen]

    def _groups(self) -> list[dict[str, Any]]:
        """Stages at rates that rise geometrically to the last, then the head. Norms and biases do not decay."""
        options, parts = self._options, stages(self.module)
        groups: list[dict[str, Any]] = []
        for place, stage in enumerate(parts):
            rate = options.rate * options.first_rate ** (1 - (place + 1) / len(parts))
            moving = [one for one in stage if one.requires_grad]
            groups += [
                {"params": [one for one in moving if one.ndim > 1], "lr": rate, "weight_decay": options.weight_decay},
                {"params": [one for one in moving if one.ndim <= 1], "lr": rate, "weight_decay": 0.0},
            ]
        head = list(self.objective.parameters())
        groups.append({"params": head, "lr": options.rate * options.head_rate, "weight_decay": 0.0})
        return [group for group in groups if group["params"]]

    def learn(self, pixels: Tensor, labels: Tensor) -> float:
        """One step. uint8 (n, 3, h, w), int64 (n,) -> the loss before it. Raises Diverged."""
        self.module.train()
        for norm in self._still:
            norm.eval()
        with self._arithmetic.autocast():
            maps = self.module(self._arithmetic.normalised(pixels, self._mean, self._std))
        loss = self.objective(pooled(maps, self._spec), labels.to(self._arithmetic.device))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise Diverged(step=self.step)
        self.optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.schedule.step()
        self.step += 1
        return value

    @property
    def rate(self) -> float:
        """Of the last stage, now."""
        return self._options.rate * float(self.schedule.lr_lambdas[0](self.step))

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "module": self.module.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        self.step = int(state["step"])


def rate_at(step: int, warm: int, steps: int) -> float:
    """Share of the full rate: linear warm-up, then half a cosine down to a hundredth.

    Loshchilov and Hutter, SGDR, ICLR 2017, without restarts.
    """
    if step < warm:
        return (step + 1) / warm
    passed = min(1.0, (step - warm) / max(1, steps - warm))
    return 0.01 + 0.99 * (1 + math.cos(math.pi * passed)) / 2
