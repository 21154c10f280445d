"""The arithmetic of a training: where it runs, and how wide its numbers are."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search.training.errors import BadTrainingOptions

CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Arithmetic:
    """``half``: the type of autocast, or None for float32 throughout. Weights and optimiser stay float32."""

    device: str
    half: torch.dtype | None

    @property
    def name(self) -> str:
        return str(self.half or torch.float32).removeprefix("torch.")

    def placed(self, module: nn.Module) -> nn.Module:
        """Channels last: what matrix units of CPUs and GPUs want of convolutions."""
        return module.to(self.device, memory_format=torch.channels_last)

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.half is None else torch.autocast(self.device, self.half)

    def scaler(self) -> Any:
        """Keeps small gradients of float16 above zero; does nothing for the other types."""
        return torch.amp.GradScaler(self.device, enabled=self.half is torch.float16)

    def normalised(self, pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) -> float (n, 3, h, w) on the device."""
        batch = pixels.to(self.device).contiguous(memory_format=torch.channels_last)
        return (batch.float() - mean) / std


def has_amx() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in tiles: only there is it quicker than float32."""
    try:
        return "amx_bf16" in CPU_FACTS.read_text()
    except OSError:
        return False


def choose(precision: str, device: str = "auto") -> Arithmetic:
    """``auto``: bfloat16 on a GPU that has it, else float16 there; bfloat16 on a CPU with AMX, else float32."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BadTrainingOptions(option="EXTRACTION_DEVICE", reason="no CUDA device was found")
    where = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    if precision == "float16" and where == "cpu":
        raise BadTrainingOptions(option="precision", reason="float16 trains on a GPU only")
    if precision != "auto":
        return Arithmetic(where, None if precision == "float32" else getattr(torch, precision))
    if where == "cuda":
        return Arithmetic(where, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)
    return Arithmetic(where, torch.bfloat16 if has_amx() else None)
