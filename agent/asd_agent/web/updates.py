"""Live updates: one stream from the service, passed on to every browser that watches (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from asd_agent.web.parts import needs, parts_of
from asd_agent.web.service_client import RefusedError, ServiceAwayError, ServiceClient

MOST_STREAMS = 128
MOST_OF_AN_ADDRESS = 12
"""Streams of one address; a browser opens one, whatever the number of its tabs."""
HEARTBEAT_SECONDS = 10.0
RETRY_SECONDS = 2.0
STREAM_SECONDS = 3600.0
"""Length of a stream; the browser opens the next one, and is asked for its session again."""
_FIELDS = ("state", "alarm", "alarm_id", "severity", "score", "threshold", "window_end", "seq", "evidence_id")


class UpdateHub:
    """Reads the service's updates while anybody watches.

    Args:
        service: The service's gateway.
    """

    def __init__(self, service: ServiceClient) -> None:
        self._service = service
        self._watchers: set[asyncio.Queue[str]] = set()
        self._addresses: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._newest = ""

    def is_full(self, address: str) -> bool:
        """Return whether there are too many watchers, of this address or of all."""
        return len(self._watchers) >= MOST_STREAMS or self._addresses[address] >= MOST_OF_AN_ADDRESS

    def join(self, address: str) -> asyncio.Queue[str]:
        """Return a queue of one message, the newest; call `leave` in any case."""
        queue: asyncio.Queue[str] = asyncio.Queue(1)
        if self._newest:
            queue.put_nowait(self._newest)
        self._watchers.add(queue)
        self._addresses[address] += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read())
        return queue

    def leave(self, address: str, queue: asyncio.Queue[str]) -> None:
        """End a watcher; without any, the service is no longer asked."""
        self._watchers.discard(queue)
        self._addresses[address] -= 1
        self._addresses += Counter()  # forgets addresses without a stream
        if not self._watchers and self._task is not None:
            self._task.cancel()
            self._task, self._newest = None, ""

    async def _read(self) -> None:
        while True:
            try:
                async for document in self._service.stream("updates"):
                    self._send(_message(document))
            except (RefusedError, ServiceAwayError) as error:
                self._send(json.dumps({"running": False, "reason": str(error)}))
            await asyncio.sleep(RETRY_SECONDS)

    def _send(self, text: str) -> None:
        self._newest = text
        for queue in self._watchers:
            if queue.full():  # a slow reader gets the newest state and not all of them
                queue.get_nowait()
            queue.put_nowait(text)


@needs("viewer")
async def updates(request: Request) -> Response:
    """Stream the states of the monitors."""
    hub: UpdateHub = request.app.state.hub
    address = request.state.address
    if hub.is_full(address):
        return PlainTextResponse(parts_of(request).texts("error.streams"), 503, {"Retry-After": "30"})
    return StreamingResponse(
        _events(request, hub, address),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


async def _events(request: Request, hub: UpdateHub, address: str) -> AsyncIterator[str]:
    loop, parts = asyncio.get_running_loop(), parts_of(request)
    until = loop.time() + STREAM_SECONDS
    queue = hub.join(address)  # only here: the body of an answer whose reader has gone is never begun
    try:
        yield "retry: 3000\n\n"
        # The user may be removed while the stream is open; the browser then asks anew and gets the login.
        while loop.time() < until and parts.user(request, is_use=False) is not None:
            try:
                yield f"data: {await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)}\n\n"
            except (TimeoutError, asyncio.TimeoutError):
                yield "event: beat\ndata: 1\n\n"
    finally:
        hub.leave(address, queue)


def _message(document: dict[str, Any]) -> str:
    monitors = {
        name: {field: state.get(field) for field in _FIELDS} for name, state in document.get("monitors", {}).items()
    }
    return json.dumps(
        {"running": document.get("running", False), "reason": document.get("reason", ""), "monitors": monitors}
    )
