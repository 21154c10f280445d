"""Networks to learn from: ONNX files, run by OpenVINO, whose maps and descriptors are the student's targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.extraction.pooling import l2_normalise
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.projection import fit
from search.training.taps import stage_outputs

Array = NDArray[np.float32]
PLACES = 64  # of each map that axes are fitted on


class Teacher:
    """One ONNX network; ``run`` gives its maps at the strides of 4, 8, 16 and 32 pixels.

    Once its ``axes`` are known they are laid into the network, so that only what is learned leaves it.
    """

    def __init__(self, path: Path, how: Preprocessing, threads: int = 0, name: str = "") -> None:
        self.name = name or path.stem
        self._path, self._how, self._threads = path, how, threads  # read when first run
        self._names = stage_outputs(path)
        self._requests: dict[bool, Any] = {}
        self.axes: tuple[Axes, ...] = ()

    def run(self, pixels: Pixels, *, inner: bool = True) -> list[Array]:
        """uint8 (n, side, side, 3) -> the maps (n, c, h, w), all or with ``inner`` false the last alone, and the mean
        of the network's own last map, (n, c)."""
        if inner not in self._requests:
            self._requests[inner] = self._opened(inner)
        request = self._requests[inner]
        request.infer([pixels], share_inputs=True)
        return [np.array(request.get_output_tensor(at).data, np.float32) for at in range(len(request.model_outputs))]

    def learn(self, axes: Sequence[Axes]) -> None:
        self.axes = tuple(axes)
        self._requests.clear()

    def _opened(self, inner: bool) -> Any:
        import openvino as ov
        from openvino import opset13 as ops
        from openvino.preprocess import PrePostProcessor

        core = ov.Core()
        model = core.read_model(self._path)
        ends = {name: port for op in model.get_ops() for port in op.outputs() for name in port.names}
        places = range(len(self._names)) if inner else (len(self._names) - 1,)
        outputs = [self._along(ends[self._names[at]], at) for at in places]
        pooled = ops.reduce_mean(ends[self._names[-1]], ops.constant([2, 3], dtype=np.int64), False)
        how = PrePostProcessor(
            ov.Model([*(node.output(0) for node in outputs), pooled.output(0)], model.get_parameters())
        )
        source = how.input()
        source.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        source.model().set_layout(ov.Layout("NCHW"))
        steps = source.preprocess().convert_element_type(ov.Type.f32)
        steps.mean(list(self._how.mean)).scale(list(self._how.std))
        options = {"INFERENCE_NUM_THREADS": self._threads} if self._threads else {}
        return core.compile_model(how.build(), "CPU", options).create_infer_request()

    def _along(self, port: Any, stage: int) -> Any:
        from openvino import opset13 as ops

        if not self.axes:
            return ops.convert(port, "f32")
        axes = self.axes[stage]
        kernel = np.ascontiguousarray(axes.matrix.T[:, :, None, None])
        shift = np.asarray(-(axes.mean @ axes.matrix), np.float32)[None, :, None, None]
        none = [0, 0]
        return ops.add(ops.convolution(port, kernel, [1, 1], none, none, [1, 1]), shift)


@dataclass(frozen=True)
class Axes:
    """``mean`` (c,) and ``matrix`` (c, kept): places of a map become (x - mean) @ matrix, of variance 1 on average."""

    mean: Array
    matrix: Array


def axes_of(sample: Array, kept: int) -> Axes:
    """The first ``kept`` principal axes of places (n, c), scaled together so that their mean variance is 1.

    Where there are fewer, the rest is zero: a stage may hand on more than a narrow teacher knows.
    """
    count, width = sample.shape
    projection = fit(sample, min(kept, width, count - 1))
    spread = float(np.sqrt((((sample - projection.mean) @ projection.matrix) ** 2).mean()))
    matrix = np.zeros((width, kept), np.float32)
    matrix[:, : projection.dim] = projection.matrix / max(spread, 1e-12)
    return Axes(projection.mean, matrix)


@dataclass(frozen=True)
class Targets:
    """What the student learns: of every stage the principal axes of each teacher's map, side by side; of the
    picture the principal axes of the teachers' square-rooted means, side by side."""

    stages: tuple[tuple[Axes, ...], ...]  # (stage, teacher)
    descriptor: Axes

    def teach(self, teachers: Sequence[Teacher]) -> None:
        """Lay each teacher's axes into it."""
        for at, teacher in enumerate(teachers):
            teacher.learn([stage[at] for stage in self.stages])

    def descriptors(self, found: Sequence[Sequence[Array]]) -> Array:
        """(n, dim), rows L2-normalised."""
        return l2_normalise(np.asarray((together(found) - self.descriptor.mean) @ self.descriptor.matrix, np.float32))

    def arrays(self) -> dict[str, Array]:
        """For a checkpoint."""
        named = {f"{s}.{t}": axes for s, stage in enumerate(self.stages) for t, axes in enumerate(stage)}
        named["descriptor"] = self.descriptor
        return {f"{name}.{part}": getattr(axes, part) for name, axes in named.items() for part in ("mean", "matrix")}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Array], stages: int, teachers: int) -> Targets:
        def axes(name: str) -> Axes:
            return Axes(arrays[f"{name}.mean"], arrays[f"{name}.matrix"])

        rows = tuple(tuple(axes(f"{s}.{t}") for t in range(teachers)) for s in range(stages))
        return cls(rows, axes("descriptor"))


def together(found: Sequence[Sequence[Array]]) -> Array:
    """Square roots of each teacher's mean-pooled last map, unit length each, side by side: (n, sum of channels).

    Square roots: Arandjelović and Zisserman, Three things everyone should know to improve object retrieval, CVPR 2012.
    """
    means = [of[-1] for of in found]
    return np.concatenate([l2_normalise(np.sign(x) * np.sqrt(np.abs(x))) for x in means], axis=1)


def side_by_side(found: Sequence[Sequence[Array]], stage: int) -> Array:
    """Of each teacher its maps along its axes -> (n, channels of the stage, h, w)."""
    return np.concatenate([of[stage] for of in found], axis=1)


def share(channels: int, sizes: Sequence[int]) -> list[int]:
    """How many axes each teacher gets of a stage's channels: as equal as the maps' own sizes allow.

    share(80, [128, 32]) == [48, 32]; what no map is wide enough for goes to the widest.
    """
    left, found = channels, [0] * len(sizes)
    for turn, place in enumerate(np.argsort(sizes, kind="stable")):
        found[place] = min(sizes[place], left // (len(sizes) - turn))
        left -= found[place]
    found[int(np.argmax(sizes))] += left
    return found


def fit_targets(
    teachers: Sequence[Teacher], batches: Iterator[Pixels], channels: Sequence[int], seed: int = 0
) -> Targets:
    """Learn the axes from a few batches of crops. ``channels``: of each stage of the student."""
    for teacher in teachers:
        teacher.learn(())  # another run's
    rng = np.random.default_rng(seed)
    places: list[list[list[Array]]] = [[[] for _ in teachers] for _ in channels]
    means: list[Array] = []
    for pixels in batches:
        found = [teacher.run(pixels) for teacher in teachers]
        means.append(together(found))
        for stage in range(len(channels)):
            for at, maps in enumerate(found):
                places[stage][at].append(_some(maps[stage], rng))
    stages = []
    for into, sample in zip(channels, places, strict=True):
        parts = [np.concatenate(part) for part in sample]
        kept = share(into, [part.shape[1] for part in parts])
        stages.append(tuple(axes_of(part, k) for part, k in zip(parts, kept, strict=True)))
    return Targets(tuple(stages), axes_of(np.concatenate(means), channels[-1]))


def _some(maps: Array, rng: np.random.Generator) -> Array:
    n, c, h, w = maps.shape
    flat = maps.reshape(n, c, h * w)
    chosen = rng.permutation(h * w)[: max(1, PLACES * 32 // n)]
    return np.ascontiguousarray(flat[:, :, chosen].transpose(0, 2, 1).reshape(-1, c))
