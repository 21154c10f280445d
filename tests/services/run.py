"""Run a command with real servers beside it: ``python -m tests.services.run postgres redis -- pytest …``.

The command finds DATABASE_URL and REDIS_URL in its environment. Where a server is missing: the reason
is printed and the command is not run; in CI that is a failure.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

from tests.services import servers

VARIABLES = {"postgres": "DATABASE_URL", "redis": "REDIS_URL"}


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped then too
    cut = arguments.index("--")
    names, command = arguments[:cut], arguments[cut + 1 :]
    with ExitStack() as stack:
        environment = dict(os.environ)
        for name in names:
            try:
                environment[VARIABLES[name]] = stack.enter_context(getattr(servers, name)())
            except servers.ServerMissing as missing:
                print(f"SKIPPED {' '.join(command)}: {missing}", file=sys.stderr)
                return 1 if os.environ.get("CI") else 0
            print(f"{name}: {environment[VARIABLES[name]]}", flush=True)
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
