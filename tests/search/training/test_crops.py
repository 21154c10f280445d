from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.training.crops import Augmentation, Crops, ahead, files_under, read_all

PLAIN = Augmentation(area=(1, 1), ratio=(1, 1), jitter=0, grey=0, paste=0)


def pictures(count: int) -> list[np.ndarray]:
    """Each of one colour, its number."""
    return [np.full((40, 40, 3), at, np.uint8) for at in range(count)]


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (50, 60, 3), np.uint8) for _ in range(5)]
    first, again, other = Crops(noise, 4, 1), Crops(noise, 4, 1), Crops(noise, 4, 2)
    first.batch(0, 32)  # what came before does not matter
    assert np.array_equal(first.batch(7, 32), again.batch(7, 32))
    assert not np.array_equal(first.batch(7, 32), first.batch(8, 32))
    assert not np.array_equal(first.batch(7, 32), other.batch(7, 32))


def test_every_picture_comes_once_before_any_comes_again() -> None:
    crops = Crops(pictures(10), 4, 0, PLAIN)
    seen = [int(p[0, 0, 0]) for step in range(5) for p in crops.batch(step, 8)]
    assert sorted(seen[:10]) == list(range(10))
    assert sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_batches_made_ahead_are_the_same() -> None:
    crops = Crops(pictures(6), 3, 0)
    steps = [(at, 16 if at % 2 else 32) for at in range(7)]
    for (step, side), batch in zip(steps, ahead(lambda one: crops.batch(*one), steps), strict=True):
        assert batch.shape == (3, side, side, 3)
        assert np.array_equal(batch, crops.batch(step, side))


def test_pasting_puts_a_part_of_the_next_picture_in() -> None:
    crops = Crops(pictures(4), 4, 0, Augmentation(area=(1, 1), ratio=(1, 1), jitter=0, grey=0, paste=1))
    batch = crops.batch(0, 32)
    order = [int(np.bincount(p[..., 0].ravel()).argmax()) for p in batch]
    for at, picture in enumerate(batch):
        assert set(np.unique(picture)) == {order[at], order[(at + 1) % 4]}


def test_jitter_and_grey_change_colours_and_stay_in_range() -> None:
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(8)]
    plain = Crops(noise, 8, 0, PLAIN).batch(0, 32)
    grey = Crops(noise, 8, 0, Augmentation(area=(1, 1), ratio=(1, 1), jitter=0, grey=1, paste=0)).batch(0, 32)
    bright = Crops(noise, 8, 0, Augmentation(area=(1, 1), ratio=(1, 1), jitter=0.5, grey=0, paste=0)).batch(0, 32)
    assert (grey[..., 0] == grey[..., 1]).all()
    assert np.abs(bright.astype(int) - plain).mean() > 5


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (300, 600), "red").save(tmp_path / "a" / "2.jpg")
    Image.new("RGB", (30, 20), "blue").save(tmp_path / "1.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    files = files_under([tmp_path])
    assert [path.name for path in files] == ["1.png", "2.jpg", "broken.jpg"]
    found, names = read_all(files)
    assert [path.name for path in names] == ["1.png", "2.jpg"]
    assert [picture.shape for picture in found] == [(20, 30, 3), (448, 224, 3)]


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_pictures_than_a_batch_come_several_times(count: int) -> None:
    batch = Crops(pictures(count), 8, 0, PLAIN).batch(0, 8)
    assert set(np.unique(batch)) == set(range(count))
