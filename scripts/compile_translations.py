#!/usr/bin/env python3
"""Compile locale/*/LC_MESSAGES/*.po to .mo, without gettext's msgfmt; ``--check``: tell what is not translated."""

from __future__ import annotations

import sys
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent


def main(check: bool) -> int:
    missing = 0
    for path in sorted((ROOT / "locale").glob("*/LC_MESSAGES/*.po")):
        messages = polib.pofile(str(path), check_for_duplicates=True)
        messages.save_as_mofile(str(path.with_suffix(".mo")))
        if check:
            for entry in [*messages.untranslated_entries(), *messages.fuzzy_entries()]:
                missing += 1
                print(f"{path.relative_to(ROOT)}:{entry.linenum}: not translated: {entry.msgid!r}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
