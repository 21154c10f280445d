from pathlib import Path

import numpy as np
import pytest

from search.training.held_out import is_held_out, leave_one_out, split, squashed


def test_a_class_is_held_out_by_its_name_alone() -> None:
    names = [f"class {at}" for at in range(2000)]
    held = [name for name in names if is_held_out(name, 0.2)]
    assert 340 < len(held) < 460
    assert set(held) <= {name for name in names if is_held_out(name, 0.5)}
    assert not any(is_held_out(name, 0) for name in names)
    assert all(is_held_out(name, 1) for name in names)


def test_a_class_is_on_one_side_only() -> None:
    files = [Path(f"/{place}/class {at}/{n}.jpg") for place in "ab" for at in range(40) for n in range(3)]
    kept, held = split(files, 0.3)
    assert sorted(kept + held) == sorted(files)
    assert held
    assert not {path.parent.name for path in kept} & {path.parent.name for path in held}


def test_mean_average_precision_of_leaving_one_out() -> None:
    # On a circle, by angle: a at 0 and 10, b at 15 and 40.
    # From 0: a b b, AP 1. From 10: b a b, 1/2. From 15: a a b, 1/3. From 40: b a a, 1.
    angles = np.radians([0, 10, 15, 40])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert leave_one_out(x, ["a", "a", "b", "b"]) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1) / 4)


def test_whole_pictures_are_squashed() -> None:
    tall = np.zeros((40, 20, 3), np.uint8)
    tall[:20] = 255
    found = squashed([tall, np.zeros((9, 9, 3), np.uint8)], 32)
    assert found.shape == (2, 32, 32, 3)
    assert found[0, :14].min() == 255
    assert found[0, 18:].max() == 0
