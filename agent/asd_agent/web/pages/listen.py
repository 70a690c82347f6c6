"""Page of a machine's live sound: spectrogram, level, clipping, and the sound itself.

Listening needs the role `operator` and is logged with the name: a microphone in a hall also hears people.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from asd_agent.web.live_sound import (
    LOWEST_DB,
    MOST_LISTENERS,
    SPEC,
    STEP_DB,
    SoundHub,
    SoundPiece,
    frequency_ticks,
    wav_head,
)
from asd_agent.web.parts import needs, parts_of

log = logging.getLogger(__name__)

LISTEN_SECONDS = 1800.0
"""Longest stream of one listener: a player that was forgotten ends by itself."""
ASK_AGAIN_SECONDS = 5.0
"""Time between two looks whether the listener may still listen."""
QUIET_SECONDS = 10.0
_NO_STORE = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}


@needs("operator")
async def listen(request: Request) -> Response:
    """Show the page."""
    parts = parts_of(request)
    name, settings = parts.monitor(request)
    scale = {"bands": SPEC.n_mels, "column": SPEC.frame_seconds(), "low": LOWEST_DB, "step": STEP_DB}
    states = json.dumps(parts.texts.some("source."))
    return parts.page(
        request, "listen.html", name=name, settings=settings, ticks=frequency_ticks(), bands=SPEC.n_mels,
        scale=json.dumps(scale), states=states,
    )  # fmt: skip


@needs("operator")
async def columns(request: Request) -> Response:
    """Stream columns of the spectrogram and levels as server-sent events."""
    return _stream(request, "text/event-stream", b"retry: 3000\n\n", lambda p: b"data: " + p.message.encode() + b"\n\n")


@needs("operator")
async def sound(request: Request) -> Response:
    """Stream the sound as a WAV file without an end."""
    return _stream(request, "audio/wav", wav_head(), lambda piece: piece.pcm)


def _stream(request: Request, media: str, head: bytes, part: Callable[[SoundPiece], bytes]) -> Response:
    parts = parts_of(request)
    hub: SoundHub = request.app.state.sound
    name, _ = parts.monitor(request)
    if hub.listeners() >= MOST_LISTENERS:
        return PlainTextResponse(parts.texts("listen.too_many"), 503, {"Retry-After": "30"})
    log.info("%s listens to monitor %s (%s)", request.state.user.name, name, media)
    return StreamingResponse(_pieces(request, hub, name, head, part), media_type=media, headers=_NO_STORE)


async def _pieces(
    request: Request,
    hub: SoundHub,
    name: str,
    head: bytes,
    part: Callable[[SoundPiece], bytes],
) -> AsyncIterator[bytes]:
    loop, parts = asyncio.get_running_loop(), parts_of(request)
    until, look = loop.time() + LISTEN_SECONDS, loop.time() + ASK_AGAIN_SECONDS
    queue = hub.join(name)  # only here: the body of an answer whose reader has gone is never begun
    try:
        yield head
        while (now := loop.time()) < until:
            if now >= look:
                look, user = now + ASK_AGAIN_SECONDS, parts.user(request, is_use=False)
                if user is None or not user.may("operator"):
                    return
            try:
                piece = await asyncio.wait_for(queue.get(), QUIET_SECONDS)
            except (TimeoutError, asyncio.TimeoutError):
                continue
            if data := part(piece):
                yield data
    finally:
        hub.leave(name, queue)
