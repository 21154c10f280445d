"""``manage.py demo``: the whole site on this machine, with something in it to search."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
import webbrowser
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from catalog.errors import LookalikeError
from search import demo
from search.supervision import Children, check_port

HOST = "127.0.0.1"  # the demo is not for the network
START_TIMEOUT_S = 90.0


class Command(BaseCommand):
    help = "Starts the whole site with a sample shop in it. Ctrl-C stops all of it; the data stays."
    requires_system_checks: list[str] = []  # its processes run them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-browser", action="store_true", help="Do not open the page in a browser.")

    def handle(self, *args: Any, port: int, no_browser: bool, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _interrupt)
        logging.getLogger().setLevel(logging.WARNING)
        began = time.monotonic()
        try:
            check_port(HOST, port)
            with _only_one():
                self._show(port, began, open_browser=not no_browser)
        except LookalikeError as error:
            raise CommandError(error.render()) from None
        except KeyboardInterrupt:
            self.stdout.write("\nStopped. The data is kept: `make demo` goes on where you left it.")

    def _show(self, port: int, began: float, *, open_browser: bool) -> None:
        password = self._prepare()
        address = f"http://{HOST}:{port}/"
        with Children(settings.DATA_DIR / "log") as children, self._step("Starting the site"):
            for name, command in demo.commands(HOST, port).items():
                children.start(name, command, demo.environment(), settings.BASE_DIR)
            children.wait_until_answers(f"{address}healthz", START_TIMEOUT_S)
            self._say_where(address, password, time.monotonic() - began)
            if open_browser and _has_screen():
                webbrowser.open(address)
            while True:
                children.check()
                time.sleep(0.5)

    def _prepare(self) -> str | None:
        """The new administrator's password, if there is one."""
        with self._step("Database"):
            demo.migrate()
        password = demo.administrator()
        collection = demo.sample_shop()
        if not demo.is_imported(collection):
            with self._step("Sample shop: pictures", on_progress=True) as progress:
                demo.import_sample(collection, progress)
        with self._step("Sample shop: descriptors", on_progress=True) as progress:
            index = demo.embed(collection, progress)
        if index.active_build is None:
            with self._step("Sample shop: index"):
                demo.build(index)
        demo.first_evaluation(index)
        return password

    @contextmanager
    def _step(self, what: str, *, on_progress: bool = False) -> Iterator[Callable[[int, int], None]]:
        """Say what is being done and how long it took; the block is given a progress callback."""
        began = time.monotonic()
        shown = on_progress and sys.stdout.isatty()
        with tqdm(desc=f"  {what}", unit="", disable=not shown, leave=False, file=sys.stdout) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield progress
        self.stdout.write(f"  {what}: {time.monotonic() - began:.1f} s")
        self.stdout.flush()

    def _say_where(self, address: str, password: str | None, seconds: float) -> None:
        account = f"{demo.ADMIN} / {password}  (shown once)" if password else "the account you have"
        lines = [
            f"Lookalike is running: {address}",
            f"Admin: {address}admin/   {account}",
            f"API: {address}api/v1/docs/",
        ]
        rule = "=" * (max(map(len, lines)) + 4)
        text = "\n".join(["", rule, *(f"  {line}" for line in lines), rule])
        self.stdout.write(self.style.SUCCESS(text))
        self.stdout.write(f"Started in {seconds:.1f} s. Logs: {settings.DATA_DIR / 'log'}. Stop with Ctrl-C.")
        self.stdout.flush()


@contextmanager
def _only_one() -> Iterator[None]:
    """One demo a data folder: the lock goes with the process, however it ends."""
    with (settings.DATA_DIR / "demo.lock").open("w") as file:
        _lock(file)
        yield


def _lock(file: TextIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CommandError(f"A demo is running already with the data in {settings.DATA_DIR}.") from None


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _has_screen() -> bool:
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
