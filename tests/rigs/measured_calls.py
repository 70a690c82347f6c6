"""A command in a forked process, with its exit code, output, time and memory.

The fork has the modules loaded, so that the start of the interpreter (about 1 s) is not part of the time.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asd_agent.cli import main

HANG_SECONDS = 60
"""A call that takes so long is killed and counts as a fault, on a busy machine as well.

A service that listens by then is asked to end first: a mutant may be a good configuration without any sound.
"""


@dataclass(frozen=True)
class Call:
    """One call of a command.

    Attributes:
        code: Exit code; negative for a signal.
        output: Both outputs.
        seconds: Time of computing, with its children; that of a busy machine does not count.
        megabytes: Largest memory of the process or one of its children.
        elapsed: Seconds until its end, also those of waiting and of a busy machine.
    """

    code: int
    output: str
    seconds: float
    megabytes: float
    elapsed: float = 0.0


def call_forked(arguments: list[str], folder: Path, program: Callable[[], None] = main) -> Call:
    """Call a command in a forked process; after `HANG_SECONDS` it is killed with its children.

    Args:
        arguments: Arguments of the command.
        folder: Folder for its output.
        program: Entry point; that of asd-agent by default.
    """
    out = folder / "output"
    out.unlink(missing_ok=True)
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _run(program, arguments, out)
    asked_to_end = False

    def end(*_: object) -> None:
        nonlocal asked_to_end
        if not asked_to_end and out.exists() and b"listening: " in out.read_bytes():
            asked_to_end = True
            os.kill(pid, signal.SIGTERM)
            signal.alarm(HANG_SECONDS)
        else:
            os.killpg(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(HANG_SECONDS)
    _, status, usage = os.wait4(pid, 0)
    signal.alarm(0)
    seconds = usage.ru_utime + usage.ru_stime
    text = out.read_text(encoding="utf-8", errors="replace") if out.exists() else ""
    return Call(os.waitstatus_to_exitcode(status), text, seconds, usage.ru_maxrss / 1024, time.monotonic() - started)


def _run(program: Callable[[], None], arguments: list[str], out: Path) -> None:
    os.setpgid(0, 0)
    handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.argv = [program.__module__, *arguments]
    code = 0
    try:
        program()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException as error:  # noqa: BLE001
        code = 99
        sys.stderr.write(f"Traceback: {error!r}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def faults(call: Call, codes: set[int], seconds: float, megabytes: float) -> list[str]:
    """Name what is wrong with a call.

    Args:
        call: The call.
        codes: Documented exit codes.
        seconds: Longest time.
        megabytes: Largest memory.
    """
    found = []
    if call.code not in codes:
        found.append(f"exit code {call.code}")
    # "found unexpected end of stream" is an answer of the YAML parser.
    if "Traceback" in call.output or re.search(r"unexpected \w*(Error|Exception|Interrupt)", call.output):
        found.append("unexpected error")
    if any(not c.isprintable() and c not in "\n\t" for c in call.output):
        found.append("control character")
    if call.seconds > seconds:
        found.append(f"{call.seconds:.1f} s")
    if call.megabytes > megabytes:
        found.append(f"{call.megabytes:.0f} MB")
    return found
