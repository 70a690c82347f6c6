"""Capture child: opens one source and sends its sound down its standard output, until its parent is gone.

Started as `python -m asd_agent.audio.child <request>`, never forked; the request is one JSON object.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
from importlib import import_module
from typing import Any, Protocol, cast

from asd_agent.audio.protocol import ChildNotice
from asd_agent.audio.sender import send
from asd_agent.errors import AsdError

_PR_SET_PDEATHSIG = 1


class CaptureModule(Protocol):
    """Module that reads the sound of one source kind; named by `SourceKind.capture_module`."""

    def capture(self, settings: dict[str, Any], pipe: int, anchor: float | None) -> None:
        """Send packets until the sound ends or is lost.

        Args:
            settings: The source's settings as JSON holds them.
            pipe: File descriptor to write packets to.
            anchor: Monotonic seconds of the first sample of an earlier child; None in the first child, and for
                sources that are live.

        Raises:
            AudioError: The source cannot be opened, or was lost.
        """


def main(request: dict[str, Any]) -> int:
    """Serve a request and return the exit status.

    Args:
        request: `parent` (process id), and either `capture` (a module) with `settings` and perhaps `anchor`, or `list`.
    """
    _die_with(request["parent"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no packet
    try:
        _serve(request, pipe)
    except AsdError as error:
        send(pipe, ChildNotice("error", {"what": error.what, "remedy": error.remedy}))
        return 1
    except Exception as error:  # noqa: BLE001 - the parent has no other way to learn why
        send(pipe, ChildNotice("error", {"what": f"capture failed: {type(error).__name__}: {error}", "remedy": ""}))
        return 1
    return 0


def _serve(request: dict[str, Any], pipe: int) -> None:
    if "capture" in request:
        module = cast("CaptureModule", import_module(request["capture"]))
        module.capture(request["settings"], pipe, request.get("anchor"))
    else:
        from asd_agent.audio.microphone import list_inputs

        send(pipe, ChildNotice("inputs", {"inputs": list_inputs(probe_rates=bool(request["list"].get("probe_rates")))}))


def _die_with(parent: int) -> None:
    """End when the parent does, however it ends: by signal, and by the end of the pipe that it holds."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_until_closed, name="parent", daemon=True).start()


def _until_closed() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    status = main(json.loads(sys.argv[1]))
    # Without the interpreter's own exit: PortAudio can hang while it shuts down.
    os._exit(status)
