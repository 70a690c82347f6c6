"""Gateway's process: `python -m asd_agent.gateway`, started by the service with its settings on standard input.

The first line is one JSON object: `parent` (process id), `config` (the configuration) and `file` (agent.yaml, or null).
The process ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
from pathlib import Path

from asd_agent.runtime import limit_blas_threads

limit_blas_threads()  # before anything that imports numpy

from asd_agent.config.model import Config  # noqa: E402
from asd_agent.control_client import WEB_SOCKET_NAME  # noqa: E402
from asd_agent.gateway.server import GatewayServer  # noqa: E402
from asd_agent.gateway.verbs import Verbs  # noqa: E402

NICENESS = 10
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve until the service closes this process's standard input; return the exit status."""
    request = json.loads(sys.stdin.buffer.readline())
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != request["parent"]:
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the service, which ends this process
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s page: %(message)s", stream=sys.stderr)
    config = Config.model_validate(request["config"])
    file = Path(request["file"]) if request.get("file") else None
    server = GatewayServer(config.paths.state / WEB_SOCKET_NAME, Verbs(config, file))
    server.start()
    while sys.stdin.buffer.read(1):
        pass
    server.stop()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # a thread that still answers must not keep the process
