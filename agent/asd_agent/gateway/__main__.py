"""Gateway's process: `python -m asd_agent.gateway`, started by the service with its settings on standard input.

The first line is one JSON object: `parent` (process id), `config` (the configuration) and `file` (agent.yaml, or null).
Each further line has the `config` that the service runs with from then on. The process ends when its standard input
does.
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
from asd_agent.gateway.jobs import JobRunner  # noqa: E402
from asd_agent.gateway.server import GatewayServer  # noqa: E402
from asd_agent.gateway.verbs import Verbs  # noqa: E402

NICENESS = 10
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve until the service closes this process's standard input; return the exit status.

    Another configuration ends neither the answers that are under way, among them that to the request for it, nor a job.
    """
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
    jobs = JobRunner()
    server = GatewayServer(config.paths.state / WEB_SOCKET_NAME, Verbs(config, file, jobs))
    server.start()
    while line := sys.stdin.buffer.readline():
        server.use(Verbs(Config.model_validate(json.loads(line)["config"]), file, jobs))
    server.stop()
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # a thread that still answers must not keep the process
