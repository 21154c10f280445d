from pathlib import Path

import pytest

from search.extraction.errors import BadConfiguration

pytestmark = pytest.mark.torch


def test_it_gives_a_map_at_a_stride_of_32_whatever_the_size() -> None:
    import torch

    from search.training.student import build_student

    student = build_student().eval()
    with torch.no_grad():
        assert student(torch.zeros(2, 3, 224, 224)).shape == (2, 512, 7, 7)
        assert [tuple(m.shape[1:]) for m in student.maps(torch.zeros(1, 3, 96, 160))] == [
            (80, 24, 40),
            (128, 12, 20),
            (256, 6, 10),
            (512, 3, 5),
        ]


def test_a_seed_is_a_network_and_leaves_the_callers_random_numbers_alone() -> None:
    import torch

    from search.training.student import build_student

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (build_student(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_file_is_small_and_comes_back_the_same(tmp_path: Path) -> None:
    import torch

    from search.training.student import build_student, load, save

    student = build_student(3).eval()
    save(student, tmp_path / "s.safetensors")
    assert (tmp_path / "s.safetensors").stat().st_size < 8_000_000
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        a, b = student(x).flatten(1), load(tmp_path / "s.safetensors")(x).flatten(1)
    assert torch.nn.functional.cosine_similarity(a, b).min() > 0.9999


@pytest.mark.parametrize("damage", ["other", "cut", "gone"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    import torch
    from safetensors.torch import save_file

    from search.training.student import build_student, load, save

    path = tmp_path / "s.safetensors"
    if damage == "other":
        save_file({"weight": torch.zeros(3)}, path)
    elif damage == "cut":
        save(build_student(), path)
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadConfiguration, match=r"s\.safetensors"):
        load(path)
