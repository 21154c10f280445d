"""The child of ``manage.py benchmark``: its settings point at a throw-away folder."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import django


def main() -> None:
    options: dict[str, Any] = json.loads(sys.argv[1])
    django.setup()
    from django.core.management import call_command

    from search.benchmarking import Job, benchmark
    from search.benchmarking.machine import facts

    call_command("migrate", verbosity=0)
    chosen, as_json = options.pop("benchmarks"), options.pop("json")
    machine = facts()
    reports = {name: benchmark(name).measure(Job(**options)) for name in chosen}
    if as_json:
        result = {"machine": machine, "benchmarks": {name: asdict(report) for name, report in reports.items()}}
        print(json.dumps(result, indent=2))
        return
    print(_facts(machine))
    for report in reports.values():
        print(f"\n{report.title}\n{_table(report.rows)}")
        for note in report.notes:
            print(f"  {note}")


def _facts(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['precision']}, "
        f"load {machine['load_at_start']} at the start\nPython {machine['python']}, {versions}"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    """Columns as wide as their widest cell; a column is there if any row has it."""
    heads = list(dict.fromkeys(head for row in rows for head in row))
    cells = [heads, *([_cell(row.get(head)) for head in heads] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (
        f"{value:.2f}"
        if isinstance(value, float) and value < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


if __name__ == "__main__":
    main()
