"""Requests of the page to the service's gateway, over `web.sock`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError

ANSWER_SECONDS = 30.0
LONG_SECONDS = {
    "doctor": 420.0, "support": 420.0, "replay": 60.0, "apply_level": 120.0, "reload": 120.0,
    "apply_calibration": 120.0, "undo_calibration": 120.0,
}  # fmt: skip
"""Verbs that take long; the doctor listens to every microphone."""
QUIET_SECONDS = 30.0
"""Time without a line after which a stream of updates is given up; the gateway sends one every ten seconds."""
LARGEST_LINE = 16 << 20
LARGEST_BODY = 128 << 20
MOST_AT_A_TIME = 24
"""Requests at a time; the gateway allows a few more."""


class ServiceAwayError(AsdError):
    """The service, or its gateway, does not answer."""


class RefusedError(AsdError):
    """The gateway answered that a request cannot be served."""


class ServiceClient:
    """Client of the gateway.

    Args:
        path: The gateway's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places = asyncio.Semaphore(MOST_AT_A_TIME)

    async def ask(self, verb: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return the document that answers it.

        Raises:
            ServiceAwayError: Nothing answers, or not in time.
            RefusedError: The request cannot be served.
        """
        return (await self.ask_bytes(verb, **fields))[0]

    async def ask_bytes(self, verb: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
        """Send a request and return the document and the bytes behind it; errors as for `ask`."""
        async with self._places:
            try:
                return await asyncio.wait_for(
                    self._exchange({**fields, "verb": verb}), LONG_SECONDS.get(verb, ANSWER_SECONDS)
                )
            except (TimeoutError, asyncio.TimeoutError) as error:
                raise ServiceAwayError("the service did not answer in time", "Try again.") from error

    async def stream(self, verb: str, **fields: Any) -> AsyncIterator[dict[str, Any]]:
        """Yield the documents of a verb that answers with a stream.

        Raises:
            ServiceAwayError: Nothing answers, or the stream has ended.
            RefusedError: The request cannot be served.
        """
        reader, writer = await self._connect({**fields, "verb": verb})
        try:
            while True:
                document = await asyncio.wait_for(_document(reader), QUIET_SECONDS)
                if "error" in document:
                    raise RefusedError(str(document["error"]))
                yield document
        except (TimeoutError, asyncio.TimeoutError, OSError) as error:
            raise ServiceAwayError("the service does not answer", "") from error
        finally:
            writer.close()

    async def _exchange(self, document: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        reader, writer = await self._connect(document)
        try:
            answer = await _document(reader)
            if "error" in answer:
                raise RefusedError(str(answer["error"]))
            length = int(answer.pop("bytes", 0))
            if not 0 <= length <= LARGEST_BODY:
                raise ServiceAwayError("the service sent more than the page takes", "")
            return answer, await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ServiceAwayError("the service ended while it answered", "Try again.") from error
        finally:
            writer.close()

    async def _connect(self, document: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._path), limit=LARGEST_LINE)
        except PermissionError as error:
            raise ServiceAwayError(
                f"{self._path} belongs to another user", "Put the page's user into the group of the service."
            ) from error
        except OSError as error:
            raise ServiceAwayError(
                "the service does not run", "Start it: systemctl start asd-agent; see journalctl -u asd-agent."
            ) from error
        writer.write(json.dumps(document).encode() + b"\n")
        await writer.drain()
        return reader, writer


async def _document(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        line = await reader.readuntil(b"\n")
        document = json.loads(line)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise ServiceAwayError("the service ended while it answered", "Try again.") from error
    if not isinstance(document, dict):
        raise ServiceAwayError("the service sent no document", "")
    return document
