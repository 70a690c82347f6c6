"""Process of one job: dies with the gateway, takes the lowest priority to compute, and then becomes the command.

Called as `python -m asd_agent.gateway.job_child PARENT ARGUMENT…` with the arguments of `asd-agent`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

NICENESS = 19
COMPUTING = ("calibrate", "learn")
"""Commands that take a processor for minutes. The others keep the gateway's priority: a recording must not lose
samples, and the check of a bundle has limits of time."""
_PR_SET_PDEATHSIG = 1
_COMMAND = "from asd_agent.cli import main; main()"


def main() -> None:
    """Become the command, or end where the gateway has ended already."""
    parent, arguments = int(sys.argv[1]), sys.argv[2:]
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # stays over execv
    if os.getppid() != parent:
        sys.exit(1)
    if arguments[0] in COMPUTING:
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory ends, this is ended, not the service
    os.execv(sys.executable, [sys.executable, "-c", _COMMAND, *arguments])  # noqa: S606


if __name__ == "__main__":
    main()
