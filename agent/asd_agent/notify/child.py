"""Sending process of one target: reads messages as lines of JSON and sends each through Apprise.

Started as `python -m asd_agent.notify.child`. The URL comes with each message down the pipe, so that no list of
processes shows it. The service itself never imports Apprise: its plugins take some forty megabytes, and one that hangs
is ended with this process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

_SEPARATORS = re.compile(r"[/:?&=@#,;\s]+")
_SHORTEST_SECRET = 4
"""Shorter parts of a URL are words such as `to` or a port, and hide nothing."""


class _Complaints(logging.Handler):
    """Collects what Apprise logs about one message, which is its only account of a failure."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def main() -> None:
    """Answer each line on standard input by a line `{"error": …}` on standard output; null means sent."""
    pipe = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            error = deliver(request)
        except Exception as failure:  # noqa: BLE001 - the service has no other way to learn why
            error = f"{type(failure).__name__}: {failure}"
        text = None if error is None else masked(error, request["url"])
        os.write(pipe, json.dumps({"error": text}).encode() + b"\n")


def deliver(request: dict[str, Any]) -> str | None:
    """Send one message; return why it failed, or None.

    Args:
        request: Fields of `NotifyMessage`, with `url` and `timeout` (seconds) beside them.
    """
    try:
        import apprise
    except ImportError:
        return "the library apprise is not installed. Install the extra `notify`"
    complaints = _Complaints()
    log = logging.getLogger("apprise")
    log.handlers, log.propagate = [complaints], False
    asset = apprise.AppriseAsset(app_id="asd-agent", app_desc="asd-agent", async_mode=False, secure_logging=True)
    target = apprise.Apprise.instantiate(request["url"], asset=asset)
    if not isinstance(target, apprise.NotifyBase):
        return "Apprise does not understand its URL. See the syntax for this service at https://appriseit.com"
    # Without an answer in time the message is repeated, so the answer of a slow server is waited for.
    target.socket_connect_timeout = min(10.0, request["timeout"])
    target.socket_read_timeout = request["timeout"]
    _join(target, request)
    files = apprise.AppriseAttachment(request["files"], asset=asset) if request["files"] else None
    kind = apprise.NotifyType(request["kind"])
    with _ntfy_updates(target, request["thread"]):
        done = target.notify(body=request["body"], title=request["title"], notify_type=kind, attach=files)
    return None if done else "; ".join(dict.fromkeys(complaints.texts))[:1000] or "Apprise reports a failure"


def masked(text: str, url: str) -> str:
    """Return a text without any part of a URL beyond its scheme: user, password and tokens may be any of them."""
    _, _, rest = url.partition("://")
    parts = {part for part in _SEPARATORS.split(rest) if len(part) >= _SHORTEST_SECRET}
    from urllib.parse import unquote

    for part in sorted(parts | {unquote(part) for part in parts}, key=len, reverse=True):
        text = text.replace(part, "…")
    return text


def _join(target: Any, request: dict[str, Any]) -> None:
    """Let a target join the messages of one alarm: fields of a web hook, and references of a mail."""
    if isinstance(getattr(target, "payload_extras", None), dict):
        target.payload_extras.update(request["fields"])
    if type(target).__name__ == "NotifyEmail":
        target.headers.update({"X-ASD-Id": request["id"], "References": f"<{request['thread']}@asd-agent>"})


@contextlib.contextmanager
def _ntfy_updates(target: Any, thread: str) -> Iterator[None]:
    """Let ntfy replace the earlier message of the same alarm, by its header for that, which Apprise cannot set."""
    if type(target).__name__ != "NotifyNtfy":
        yield
        return
    from requests import sessions
    from requests.utils import default_headers

    module: Any = sessions

    def with_sequence() -> Any:
        headers = default_headers()
        headers["X-Sequence-ID"] = re.sub(r"[^-_A-Za-z0-9]", "-", thread)[:64]
        return headers

    module.default_headers = with_sequence
    try:
        yield
    finally:
        module.default_headers = default_headers


if __name__ == "__main__":
    main()
