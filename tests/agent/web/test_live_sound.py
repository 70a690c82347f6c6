"""Live sound of the page: columns, levels, the endless WAV file, and listeners who come and go."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent.features.log_mel import log_mel, mel_centres
from asd_agent.web.live_sound import (
    LOWEST_DB,
    QUEUE_PIECES,
    SPEC,
    STEP_DB,
    PieceMaker,
    SoundHub,
    column_bytes,
    frequency_ticks,
    wav_head,
)
from asd_agent.web.pages import listen
from asd_agent.web.service_client import RefusedError, ServiceAwayError
from asd_agent.web.users import UserFile
from rigs.page_caller import Caller, page


def tone(count: int, height: float = 0.1) -> np.ndarray:
    return (height * np.sin(2 * np.pi * 1000 * np.arange(count) / 16_000)).astype(np.float32)


def document(sound: np.ndarray, **more: Any) -> dict[str, Any]:
    packed = base64.b64encode(sound.astype("<f4").tobytes()).decode()
    return {"state": "healthy", "reason": "", "samples": packed, "has_gap": False, "jumped": False, **more}


def columns_of(message: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(json.loads(message)["columns"]), np.uint8).reshape(-1, SPEC.n_mels)


def test_columns_of_pieces_are_those_of_the_whole_sound():
    whole = tone(24_000)
    maker = PieceMaker()
    pieces = [columns_of(maker.make(document(part)).message) for part in np.split(whole, 3)]
    np.testing.assert_array_equal(np.concatenate(pieces), column_bytes(whole))
    found = log_mel(whole, SPEC)
    np.testing.assert_allclose(column_bytes(whole) * STEP_DB + LOWEST_DB, found, atol=STEP_DB)
    assert abs(mel_centres(SPEC)[pieces[0][3].argmax()] - 1000) < 60
    assert [text for text, _ in frequency_ticks()] == ["250 Hz", "500 Hz", "1 kHz", "2 kHz", "4 kHz"]


@pytest.mark.parametrize(
    ("sound", "more", "wanted"),
    [
        (tone(8000, 0.1), {}, {"level": -23.0, "peak": -20.0, "clipped": False, "lost": False}),
        (tone(8000, 1.0), {}, {"level": -3.0, "peak": 0.0, "clipped": True, "lost": False}),
        (np.zeros(8000), {"has_gap": True}, {"level": -150.0, "peak": -120.0, "clipped": False, "lost": True}),
        (np.full(8000, np.nan), {"jumped": True}, {"level": -150.0, "clipped": False, "lost": True}),
    ],
)
def test_levels_clipping_and_lost_sound(sound: np.ndarray, more: dict[str, Any], wanted: dict[str, Any]):
    found = json.loads(PieceMaker().make(document(sound, **more)).message)
    assert {key: found[key] for key in wanted} == wanted


def test_a_source_without_sound_reports_its_state():
    piece = PieceMaker().make({"state": "stalled", "reason": "unplugged", "samples": None})
    assert json.loads(piece.message) == {"state": "stalled", "reason": "unplugged"}
    assert piece.pcm == b""


def test_the_endless_wav_file_holds_the_sound():
    sound = tone(8000)
    pcm = PieceMaker().make(document(sound)).pcm
    found, rate = soundfile.read(io.BytesIO(wav_head() + pcm))
    assert rate == 16_000
    np.testing.assert_allclose(found, sound, atol=1e-4)


class EndlessService:
    """A service whose stream has a piece whenever it is asked, and that counts the open streams."""

    def __init__(self, error: Exception | None = None) -> None:
        self.open, self.opened, self.error = 0, 0, error

    async def stream(self, verb: str, **fields: Any) -> AsyncIterator[dict[str, Any]]:
        assert (verb, fields) == ("listen", {"monitor": "m"})
        if self.error:
            raise self.error
        self.open, self.opened = self.open + 1, self.opened + 1
        try:
            while True:
                yield document(tone(8000))
                await asyncio.sleep(0)
        finally:
            self.open -= 1


def test_listeners_share_one_stream_which_ends_with_the_last_of_them():
    async def scenario() -> None:
        service = EndlessService()
        hub = SoundHub(service)  # type: ignore[arg-type]
        first, second = hub.join("m"), hub.join("m")
        assert (await first.get()).pcm == (await second.get()).pcm != b""
        assert hub.listeners() == 2
        hub.leave("m", first)
        await second.get()
        assert service.open == 1
        hub.leave("m", second)
        for _ in range(10):
            await asyncio.sleep(0)
        assert (service.open, service.opened) == (0, 1)
        assert hub.listeners() == 0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


def test_a_slow_listener_gets_the_newest_sound():
    async def scenario() -> None:
        hub = SoundHub(EndlessService())  # type: ignore[arg-type]
        queue = hub.join("m")
        for _ in range(10 * QUEUE_PIECES):
            await asyncio.sleep(0)
        assert queue.qsize() == QUEUE_PIECES
        hub.leave("m", queue)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "key"), [(RefusedError("4 machines are listened to"), "refused"), (ServiceAwayError("gone"), "away")]
)
def test_a_refusal_reaches_the_listener(error: Exception, key: str):
    async def scenario() -> None:
        hub = SoundHub(EndlessService(error))  # type: ignore[arg-type]
        queue = hub.join("m")
        assert str(error) in json.loads((await queue.get()).message)[key]
        hub.leave("m", queue)

    asyncio.run(scenario())


def test_who_may_listen_and_for_how_long(tmp_path, monkeypatch: pytest.MonkeyPatch, caplog):
    monkeypatch.setattr(listen, "ASK_AGAIN_SECONDS", 0.0)
    with page(tmp_path) as (app, service):
        callers = {name: Caller(app) for name in ("vera", "otto", "carl")}
        for name, caller in callers.items():
            caller.log_in(name)
        for path in ("", "/columns", "/sound.wav"):
            assert callers["vera"].get(f"/machines/press/listen{path}").status == 403
        assert callers["otto"].get("/machines/press/listen").status == 200
        assert callers["otto"].get("/machines/nobody/listen/sound.wav").status == 404
        with monkeypatch.context() as full:
            full.setattr(listen, "MOST_LISTENERS", 0)
            assert callers["otto"].get("/machines/press/listen/columns").status == 503
        assert [d for d in service.asked if d["verb"] == "listen"] == []

        # A user who is removed while a stream is open: it ends.
        users = UserFile(tmp_path / "users.json")
        removed_at_join(monkeypatch, app.state.sound, lambda: users.remove("otto"))
        removed_at_join(monkeypatch, app.state.hub, lambda: users.remove("carl"))
        with caplog.at_level("INFO"):
            answer = callers["otto"].get("/machines/press/listen/sound.wav")
        assert (answer.status, answer.header("content-type"), answer.body) == (200, "audio/wav", wav_head())
        assert "otto listens to monitor press" in caplog.text
        assert app.state.sound.listeners() == 0
        assert callers["carl"].get("/updates").text.startswith("retry:")


def removed_at_join(monkeypatch: pytest.MonkeyPatch, hub: Any, remove: Callable[[], None]) -> None:
    """Remove a user in the moment in which a stream begins."""
    join = hub.join

    def joined(name: str) -> Any:
        remove()
        return join(name)

    monkeypatch.setattr(hub, "join", joined)
