"""A few processes that live and die together, as the demo needs them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from catalog.errors import LookalikeError, gettext_noop

STOP_TIMEOUT_S = 15.0
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class PortBusy(LookalikeError):
    code = "port_busy"
    text = gettext_noop("Port %(port)s is in use by another program.")
    cure = gettext_noop("Stop that one, or choose another port, for example --port %(other)s.")


class ChildEnded(LookalikeError):
    code = "child_ended"
    text = gettext_noop("The process '%(name)s' ended by itself.")
    cure = gettext_noop("Its last words:\n%(tail)s\nThe whole log: %(log)s")


class NotAnswering(LookalikeError):
    code = "not_answering"
    text = gettext_noop("The site did not answer within %(seconds)s seconds: %(reason)s.")
    cure = gettext_noop("See the logs in %(logs)s.")


def check_port(host: str, port: int) -> None:
    """Raises PortBusy."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise PortBusy(port=port, other=port + 1) from None


class Children:
    """Processes started here, each the head of a process group of its own; all ended when the block ends.

    What they print goes to ``logs``/NAME.log. They also end when this process is killed outright (on Linux).
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        with self.log(name).open("wb") as out:
            self.running[name] = subprocess.Popen(  # noqa: S603  (commands of our own)
                command,
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # one call into a library that is open already: safe after a fork
            )

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def check(self) -> None:
        """Raises ChildEnded when one is no longer there."""
        for name, process in self.running.items():
            if process.poll() is not None:
                lines = self.log(name).read_text(errors="replace").splitlines()
                raise ChildEnded(name=name, tail="\n".join(lines[-12:]), log=self.log(name))

    def wait_until_answers(self, url: str, seconds: float) -> None:
        """Until a GET answers 200. Raises ChildEnded, NotAnswering."""
        end, reason = time.monotonic() + seconds, "no connection"
        while time.monotonic() < end:
            self.check()
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  (our own address)
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.read(500).decode(errors='replace')}"
            except OSError as error:
                reason = str(error)
            time.sleep(0.1)
        raise NotAnswering(seconds=round(seconds), reason=reason, logs=self.logs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask all to stop, wait for all, and make the deaf ones. A second Ctrl-C does not get between."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        for process in self.running.values():
            _signal(process, signal.SIGTERM)
        end = time.monotonic() + STOP_TIMEOUT_S
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            _signal(process, signal.SIGKILL)  # and whatever it left in its group
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """Runs in the child before its program: Linux sends SIGTERM when the parent is gone."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
