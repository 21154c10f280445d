"""torch: the only module that imports it, and only inside functions, so a web process never does."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.extraction.errors import BadConfiguration, RuntimeMissing
from search.extraction.preprocess import Pixels, Preprocessing
from search.extraction.runtimes import FLOAT, Place


class TorchNetwork:
    """A torch module in evaluation mode; on CUDA in float16 where autocast finds that safe."""

    precision = FLOAT

    def __init__(self, module: Any, how: Preprocessing, place: Place) -> None:
        import torch

        if place.device == "tensorrt":
            raise RuntimeMissing(runtime="torch", reason="TensorRT is a provider of ONNX Runtime")
        if place.device == "cuda" and not torch.cuda.is_available():
            raise RuntimeMissing(runtime="torch", reason="no CUDA device was found")
        if place.threads:
            torch.set_num_threads(place.threads)
        self._lock = Lock()  # trunks catch their output with a hook, which two callers would share
        self._device = "cuda" if place.device != "cpu" and torch.cuda.is_available() else "cpu"
        self._module = module.eval().to(self._device)
        self._mean = torch.tensor(how.mean, device=self._device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(how.std, device=self._device).reshape(1, 3, 1, 1)

    def run(self, pixels: Pixels) -> NDArray[np.float32]:
        import torch

        try:
            return self._run(pixels)
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
            torch.cuda.empty_cache()
        half = len(pixels) // 2
        return np.concatenate([self.run(pixels[:half]), self.run(pixels[half:])])

    def _run(self, pixels: Pixels) -> NDArray[np.float32]:
        import torch

        with self._lock, torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self._device == "cuda"):
            batch = torch.from_numpy(np.array(pixels)).to(self._device).permute(0, 3, 1, 2)
            result = self._module((batch.float() - self._mean) / self._std)
        return np.asarray(result.float().cpu().numpy(), np.float32)


def state_hash(state: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and numbers of a state dict, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name].detach().cpu().numpy())
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state dict in a checkpoint, bare or under "state_dict" or "model". Nothing in it is executed."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle and zip errors of many kinds
        raise BadConfiguration(reason=f"{path.name} is not a checkpoint that loads with weights_only") from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise BadConfiguration(reason=f"{path.name} holds no state dict")
    return {name.removeprefix("module."): value for name, value in content.items()}


def seeded(make: Any, seed: int = 0) -> Any:
    """What ``make()`` returns, its random numbers the same each time and the caller's untouched."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def trunk(model: Any, at: str, *, vector: bool, relu: bool = False, form: str = "") -> Any:
    """A module that gives the output of the submodule ``at``; all of ``model`` where ``at`` is empty.

    ``relu``: apply one to it. ``vector``: average it over places, (n, c, h, w) -> (n, c). ``form`` is what it comes
    in if that is no map: "nhwc", or "tokens" (n, 1 + h * h, c), a class token before those of the places.
    """
    import torch

    def as_map(x: Any) -> Any:
        if form == "tokens":
            side = round((x.shape[1] - 1) ** 0.5)
            return x[:, 1:].transpose(1, 2).reshape(-1, int(x.shape[2]), side, side)
        return x.permute(0, 3, 1, 2) if form == "nhwc" else x

    class Trunk(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Any) -> Any:
            caught: list[Any] = []
            hook = self.model.get_submodule(at).register_forward_hook(lambda _m, _i, output: caught.append(output))
            try:
                self.model(pixels)
            finally:
                hook.remove()
            result = torch.relu(caught[0]) if relu else as_map(caught[0])
            return result.mean((2, 3)) if vector else result

    return Trunk().eval()


def without(model: Any, names: tuple[str, ...]) -> Any:
    """``model`` with the children of these names replaced by identities."""
    import torch

    for name in names:
        if name in dict(model.named_children()):
            setattr(model, name, torch.nn.Identity())
    return model.eval()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as its parts: the fused operator that torch takes in evaluation mode is none of ONNX's."""
    from torch.backends import mha

    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def export_onnx(module: Any, path: Path, side: int, *, any_size: bool) -> None:
    """Write an ONNX file with the input ``pixels`` (N, 3, H, W) and the output ``features``."""
    import torch

    axes = {0: "n", 2: "h", 3: "w"} if any_size else {0: "n"}
    with warnings.catch_warnings(), torch.inference_mode(), _plain_attention():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; its successor needs onnxscript besides
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, side, side),),
            str(path),
            dynamo=False,
            input_names=["pixels"],
            output_names=["features"],
            dynamic_axes={"pixels": axes, "features": {0: "n"}},
        )
