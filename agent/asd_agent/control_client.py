"""Requests to the running service: one JSON line each way over its Unix socket, from any process of this box."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError

SOCKET_NAME = "control.sock"
"""File name of the socket below `paths.state`."""
WEB_SOCKET_NAME = "web.sock"
"""File name of the page's socket below `paths.state`; see `asd_agent.gateway`."""
MAX_BYTES = 65_536
"""Longest request in bytes; the longest that the commands send has some hundred."""
REPLY_SECONDS = 10.0
"""Time that a request waits for the next cycle of the service, which scores for a few seconds at worst."""
LONG_SECONDS = {"reload": 900.0}
"""Time that a request waits whose command takes more than one cycle; the service answers when all of it is done."""


class ControlError(AsdError):
    """The service cannot be reached, or refused the request."""


class ControlRefusedError(ControlError):
    """The service answered, and refused the request."""


def reply_seconds(document: dict[str, Any]) -> float:
    """Return the time in seconds within which the service must answer a request."""
    return LONG_SECONDS.get(str(document.get("command")), REPLY_SECONDS)


def ask(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Send a request to the running service and return its answer.

    Args:
        path: The service's socket.
        document: The request.

    Raises:
        ControlError: No service runs there, it belongs to another user, or it refused.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(reply_seconds(document) + 5.0)
            connection.connect(str(path))
            connection.sendall(json.dumps(document).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
    except PermissionError as error:
        raise ControlError(f"{path} belongs to another user", "Run this as the service's user or with sudo") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ControlError(
            f"no service listens on {path}", "Is it running, with the paths.state of this -c?"
        ) from error
    except (OSError, ValueError) as error:
        raise ControlError(f"the service on {path} did not answer: {error}") from error
    if "error" in answer:
        raise ControlRefusedError(f"the service refused: {answer['error']}")
    return dict(answer)
