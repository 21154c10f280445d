"""The network that ships: a small residual network of dense bottlenecks, made to learn from larger ones.

Four stages at strides 4, 8, 16 and 32. Each begins with a 3 x 3 convolution of stride 2 and ends in a linear 1 x 1
convolution, so that what passes between stages is a plain vector a place: a stage can be taught alone, from a
teacher's map to the teacher's next one. Bottlenecks: He et al., Deep residual learning, CVPR 2016; linear ends:
Sandler et al., MobileNetV2, CVPR 2018. Dense convolutions, not depthwise ones: they keep matrix units busy, so they
train three times and run twice as fast for the same arithmetic on the CPUs this was made on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from search.extraction.preprocess import Preprocessing
from search.training.weights_file import load_into, save_weights

STRIDES = (4, 8, 16, 32)
PREPROCESSING = Preprocessing(resize=224, crop=224, fit="squash", mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))


@dataclass(frozen=True)
class Stage:
    """``width`` of its bottlenecks, their number, and the channels it hands on."""

    width: int
    blocks: int
    out: int


STAGES = (Stage(64, 1, 80), Stage(128, 3, 128), Stage(256, 4, 256), Stage(320, 2, 512))


class Halving(nn.Sequential):  # type: ignore[misc]  # torch is not seen by mypy
    """3 x 3 convolution of stride 2; even sizes are padded below and right, as the teachers do it."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, out, 3, 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()
        )


class Bottleneck(nn.Module):  # type: ignore[misc]  # torch is not seen by mypy
    def __init__(self, width: int) -> None:
        super().__init__()
        mid = width // 2
        self.inner = nn.Sequential(
            nn.Conv2d(width, mid, 1, bias=False),
            nn.BatchNorm2d(mid),
            nn.ReLU(),
            nn.Conv2d(mid, mid, 3, padding=1, bias=False),
            nn.BatchNorm2d(mid),
            nn.ReLU(),
            nn.Conv2d(mid, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.inner(x))


class Student(nn.Module):  # type: ignore[misc]  # torch is not seen by mypy
    """float (N, 3, H, W), RGB as value / 127.5 - 1 -> feature map (N, 512, H/32, W/32), negative values among it."""

    def __init__(self, stages: Sequence[Stage] = STAGES) -> None:
        super().__init__()
        self.dim = stages[-1].out
        channels = [3, *(stage.out for stage in stages)]
        self.stages = nn.ModuleList(_stage(into, stage) for into, stage in zip(channels, stages, strict=False))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each stage hands on, at STRIDES."""
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x)[-1]


def _stage(channels: int, stage: Stage) -> nn.Sequential:
    stem = [Halving(channels, 32), Halving(32, stage.width)] if channels == 3 else [Halving(channels, stage.width)]
    blocks = [Bottleneck(stage.width) for _ in range(stage.blocks)]
    return nn.Sequential(*stem, *blocks, nn.Conv2d(stage.width, stage.out, 1))


def build_student(seed: int = 0, stages: Sequence[Stage] = STAGES) -> Student:
    """From random initialisation: He's for convolutions, zero for the last scale of each bottleneck."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(stages)
        for module in student.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.inner[-1].weight)
    return student


def save(student: Student, path: Path) -> None:
    """safetensors, numbers as float16; written whole or not at all."""
    save_weights(student, path, half=True)


def load(path: Path, stages: Sequence[Stage] = STAGES) -> Student:
    """Raises BadConfiguration where the file is of another network."""
    student = Student(stages)
    load_into(student, path)
    student.eval()
    return student
