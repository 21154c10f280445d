"""The numbers of a torch module as a safetensors file: nothing in it can run."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from search.extraction.errors import BadConfiguration


def save_weights(module: nn.Module, path: Path, *, half: bool = False) -> Path:
    """Whole or not at all. ``half``: floats as float16."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    save_file({name: _kept(value, half) for name, value in module.state_dict().items()}, new)
    new.chmod(0o644)  # the library makes it for its owner alone
    new.replace(path)
    return path


def _kept(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu()
    return (value.half() if half and value.is_floating_point() else value).contiguous().clone()


def load_into(module: nn.Module, path: Path) -> None:
    """Fill in the numbers, in the module's own types. Raises BadConfiguration where the file is of another network."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
        own = module.state_dict()
        module.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items() if name in own})
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise BadConfiguration(reason=f"{path.name} is no file of this network: {reason}") from error
