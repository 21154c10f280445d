"""Runtimes beyond the contract: shapes, threads, providers, and what "auto" means."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.extraction.errors import RuntimeMissing, UnsupportedNetwork
from search.extraction.preprocess import Preprocessing
from search.extraction.runtimes import Place, choose, has_cuda_provider, open_onnx
from search.extraction.runtimes.onnx_runtime import CPU, CUDA, ENGINES, TENSORRT, providers
from search.extraction.runtimes.openvino_runtime import CHUNK, KEPT, OpenVinoNetwork
from search.extraction.spec import Runtime

HOW = Preprocessing(resize=32, crop=32)
Network = Callable[..., Path]


def pixels(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def openvino(path: Path) -> OpenVinoNetwork:
    return OpenVinoNetwork(path, HOW, Place("cpu", 1))


@pytest.mark.parametrize("count", [1, 3, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 3])
def test_each_picture_gets_its_own_place(network: Network, count: int) -> None:
    path, given = network(), pixels(count)
    found = openvino(path).run(given)
    expected = open_onnx(path, HOW, Runtime.ONNX, Place("cpu", 1)).run(given)
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()  # bfloat16 on some processors


def test_mean_and_std_of_each_channel_are_applied(network: Network) -> None:
    path = network()
    how = Preprocessing(resize=32, crop=32, mean=(10.0, 100.0, 200.0), std=(20.0, 60.0, 150.0))
    found, expected = (
        open_onnx(path, how, runtime, Place("cpu", 1)).run(pixels(2)) for runtime in (Runtime.OPENVINO, Runtime.ONNX)
    )
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def test_oblong_pictures_and_many_sizes_go_through_and_few_stay_compiled(network: Network) -> None:
    path = network()
    ours, theirs = openvino(path), open_onnx(path, HOW, Runtime.ONNX, Place("cpu", 1))
    oblong = pixels(2, 48)[:, :32]
    assert ours.run(oblong).shape == theirs.run(oblong).shape == (2, 8, 8, 12)
    for side in range(16, 16 + 8 * (KEPT + 2), 8):
        assert ours.run(pixels(1, side)).shape[2:] == (side // 4, side // 4)
    assert len(ours._open) == KEPT


def test_callers_share_the_requests_without_waiting_for_each_other_for_ever(network: Network) -> None:
    shared = openvino(network())
    given = [pixels(4 * CHUNK + seed, seed=seed) for seed in range(6)]
    expected = [shared.run(one) for one in given]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            if not np.array_equal(shared.run(given[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(6)]
    [thread.start() for thread in threads]
    [thread.join(timeout=60) for thread in threads]
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_a_failed_request_does_not_leave_the_next_caller_without_one(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.extraction.runtimes import openvino_runtime

    shared = openvino(network())
    expected = shared.run(pixels(CHUNK))
    taken = 0

    def fails(*_: object) -> object:
        nonlocal taken
        taken += 1
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(openvino_runtime, "_take", fails)
        for _ in range(20):  # more often than there are requests
            with pytest.raises(MemoryError):
                shared.run(pixels(CHUNK))
    assert taken == 20
    assert np.array_equal(shared.run(pixels(CHUNK)), expected)


def test_a_size_that_does_not_fit_the_arithmetic_is_refused(network: Network) -> None:
    fixed = OpenVinoNetwork(network(side=64), Preprocessing(resize=64, crop=64), Place("cpu", 1))
    assert fixed.run(pixels(1, 64)).shape == (1, 8, 16, 16)
    with pytest.raises(UnsupportedNetwork, match="32 x 32"):
        fixed.run(pixels(1, 32))


class TestProviders:
    ALL = (TENSORRT, CUDA, CPU)

    def test_auto_takes_cuda_where_the_build_has_it(self) -> None:
        assert [name for name, _ in providers("auto", self.ALL, None, 224, "x")] == [CUDA, CPU]
        assert [name for name, _ in providers("auto", (CPU,), None, 224, "x")] == [CPU]

    def test_cpu_is_the_cpu_alone(self) -> None:
        assert providers("cpu", self.ALL, None, 224, "x") == [(CPU, {})]

    def test_tensorrt_keeps_its_engines_and_computes_in_float16(self, tmp_path: Path) -> None:
        (name, options), *rest = providers("tensorrt", self.ALL, tmp_path, 224, "pixels")
        assert (name, [provider for provider, _ in rest]) == (TENSORRT, [CUDA, CPU])
        assert options["trt_fp16_enable"] is True
        assert options["trt_engine_cache_path"] == str(tmp_path / ENGINES)
        assert (tmp_path / ENGINES).is_dir()
        assert options["trt_profile_opt_shapes"] == "pixels:32x3x224x224"
        assert "trt_engine_cache_path" not in providers("tensorrt", self.ALL, None, 224, "pixels")[0][1]

    @pytest.mark.parametrize(("device", "named"), [("cuda", "CUDA"), ("tensorrt", "TensorRT")])
    def test_a_build_without_it_says_so(self, device: str, named: str, network: Network) -> None:
        with pytest.raises(RuntimeMissing, match=f"no {named} provider, only {CPU}"):
            providers(device, (CPU,), None, 224, "x")
        if not has_cuda_provider():
            with pytest.raises(RuntimeMissing, match=named):
                open_onnx(network(), HOW, Runtime.AUTO, Place(device, 1))

    @pytest.mark.parametrize("device", ["cuda", "tensorrt"])
    def test_openvino_does_not_pretend(self, device: str, network: Network) -> None:
        with pytest.raises(RuntimeMissing, match="openvino"):
            open_onnx(network(), HOW, Runtime.OPENVINO, Place(device, 1))

    def test_auto_prefers_openvino_on_a_cpu(self) -> None:
        assert choose(Runtime.AUTO, "cpu") is Runtime.OPENVINO
        assert choose(Runtime.AUTO, "tensorrt") is choose(Runtime.AUTO, "cuda") is Runtime.ONNX
        assert choose(Runtime.TORCH, "cuda") is Runtime.TORCH


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_gives_what_the_cpu_gives(device: str, network: Network, tmp_path: Path) -> None:
    import onnxruntime

    provider = {"cuda": CUDA, "tensorrt": TENSORRT}[device]
    if provider not in onnxruntime.get_available_providers():
        pytest.skip(f"this build of onnxruntime has no {provider}")
    path = network()
    expected = open_onnx(path, HOW, Runtime.ONNX, Place("cpu", 1)).run(pixels(70))
    found = open_onnx(path, HOW, Runtime.ONNX, Place(device, 1, tmp_path)).run(pixels(70))
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    if device == "tensorrt":
        assert list((tmp_path / ENGINES).iterdir())
