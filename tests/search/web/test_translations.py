"""Every sentence of the site exists in every language, with the same placeholders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polib
import pytest
from django.conf import settings

from tests.conftest import missing

ROOT = Path(__file__).resolve().parents[3]
CATALOGS = sorted((ROOT / "locale").glob("*/LC_MESSAGES/django.po"))
PLACEHOLDER = re.compile(r"%%|%\(\w+\)[a-z]|%\.?\d*[a-z]|\{\w*\}")


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_nothing_is_untranslated_or_guessed(path: Path) -> None:
    catalog = polib.pofile(str(path))
    assert len(catalog) > 500
    assert [entry.msgid for entry in [*catalog.untranslated_entries(), *catalog.fuzzy_entries()]] == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parts[-3])
def test_placeholders_are_those_of_the_source(path: Path) -> None:
    for entry in polib.pofile(str(path)):
        said = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        wanted = Counter(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
        for text in said:
            assert Counter(PLACEHOLDER.findall(text)) == wanted, entry.msgid
            assert text.startswith("\n") == entry.msgid.startswith("\n"), entry.msgid


def test_chinese_is_written_with_chinese_punctuation() -> None:
    for entry in polib.pofile(str(ROOT / "locale/zh_Hans/LC_MESSAGES/django.po")):
        for text in [entry.msgstr, *entry.msgstr_plural.values()]:
            assert not re.search(r"[一-鿿][;:?!](?!\S)", text), text
            assert not re.search(r"[一-鿿]\.$", text), text


def test_there_is_a_catalog_for_every_language_offered() -> None:
    from django.utils.translation import to_locale

    there = {path.parts[-3] for path in CATALOGS}
    assert {to_locale(code) for code, _ in settings.LANGUAGES} - {"en"} == there


def test_the_catalogs_hold_exactly_what_the_source_says(tmp_path: Path) -> None:
    """``makemessages`` over a copy of the source finds no sentence that the catalog lacks."""
    if not shutil.which("xgettext"):
        missing("no xgettext here: apt-get install gettext")
    for folder in ("catalog", "search", "retrieval_site", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "locale").mkdir()
    subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "--locale=xx", "--no-obsolete"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"},
        check=True,
        capture_output=True,
    )
    found = {(entry.msgctxt, entry.msgid) for entry in polib.pofile(str(tmp_path / "locale/xx/LC_MESSAGES/django.po"))}
    for path in CATALOGS:
        kept = {(entry.msgctxt, entry.msgid) for entry in polib.pofile(str(path)) if not entry.obsolete}
        assert found - kept == set(), f"run makemessages and translate {path}"
        assert kept - found == set(), f"run makemessages: {path} keeps what is said no more"
