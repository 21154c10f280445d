"""The report of an import: one line of CSV for every row that could not be used."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from secrets import token_hex

from django.core.files import File

from catalog.errors import LookalikeError
from catalog.files import IMPORTS
from catalog.models import ImportJob

COLUMNS = ("row", "source", "code", "message")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Report:
    """Collects in a temporary file, so that a million bad rows need no memory."""

    def __init__(self) -> None:
        self.count = 0
        # A spreadsheet on Windows takes a CSV for UTF-8 by its mark alone.
        self._file = tempfile.NamedTemporaryFile("w+", encoding="utf-8-sig", newline="", suffix=".csv")  # noqa: SIM115
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def add(self, number: int, source: str, error: LookalikeError) -> None:
        self.count += 1
        self._writer.writerow([number, _plain(source), error.code, _plain(error.render())])

    def save(self, job: ImportJob) -> None:
        """Keep the report with the job, under a name that cannot be guessed; an older one is replaced."""
        if job.report:
            job.report.delete(save=False)
        if self.count:
            self._file.flush()
            with Path(self._file.name).open("rb") as file:
                job.report.save(f"{IMPORTS}/report-{job.pk}-{token_hex(8)}.csv", File(file), save=False)
        job.save(update_fields=["report"])

    def close(self) -> None:
        self._file.close()


def _plain(text: str) -> str:
    """Text that no spreadsheet runs as a formula, on one line."""
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(FORMULA) else text
