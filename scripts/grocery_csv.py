#!/usr/bin/env python3
"""The lists of GroceryStoreDataset as a CSV for import_catalog: ``grocery_csv.py DATASET OUT.csv``.

A product a fine class. The iconic pictures become the gallery and the shop photos of one split the
queries, or with ``--reverse`` the other way round. The dataset stays as it is: OUT.csv names the
pictures through a link ``pictures`` to it, made beside OUT.csv.

https://github.com/marcusklasson/GroceryStoreDataset (Klasson et al., WACV 2019)
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ("sku", "title", "category", "image", "role")
LINK = "pictures"


def classes(dataset: Path) -> dict[int, dict[str, str]]:
    """Fine class number -> name, coarse class and iconic picture, from classes.csv."""
    with (dataset / "classes.csv").open(encoding="utf-8", newline="") as file:
        return {
            int(row["Class ID (int)"]): {
                "name": row["Class Name (str)"].strip(),
                "coarse": row["Coarse Class Name (str)"].strip(),
                "iconic": row["Iconic Image Path (str)"].strip().lstrip("/"),
            }
            for row in csv.DictReader(file)
        }


def photos(dataset: Path, split: str) -> Iterator[tuple[str, int]]:
    """Path and fine class of each shop photo of a split."""
    for line in (dataset / f"{split}.txt").read_text(encoding="utf-8").splitlines():
        if line.strip():
            path, fine, _coarse = (part.strip() for part in line.split(","))
            yield path, int(fine)


def rows(dataset: Path, split: str, reverse: bool) -> Iterator[tuple[str, ...]]:
    known = classes(dataset)
    pictures = [(one["iconic"], fine, "query" if reverse else "gallery") for fine, one in known.items()]
    pictures += [(path, fine, "gallery" if reverse else "query") for path, fine in photos(dataset, split)]
    for path, fine, role in pictures:
        name = known[fine]["name"]
        yield name, name.replace("-", " "), known[fine]["coarse"], f"{LINK}/{path}", role


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=["train", "val", "test"], default="test")
    parser.add_argument("--reverse", action="store_true", help="shop photos as gallery, iconic pictures as queries")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    link = options.out.parent / LINK
    if not link.exists():
        link.symlink_to(options.dataset.resolve(), target_is_directory=True)
    table = list(rows(options.dataset, options.split, options.reverse))
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table)
    print(f"{options.out}: {len(table)} pictures")


if __name__ == "__main__":
    main()
