"""Streams of a real ffmpeg over loopback, heard through a real capture child."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from pydantic import ValidationError

from asd_agent.audio.band import band_edge
from asd_agent.audio.source import CaptureSource
from asd_agent.audio.stream import mask
from asd_agent.config.base import Secret
from asd_agent.config.model import Config
from asd_agent.config.preflight.files import preflight_files
from asd_agent.config.sources import StreamSettings
from asd_agent.demo.broker import free_port
from rigs.broker import make_ca
from rigs.file_server import FileServer
from rigs.listening import Listener
from rigs.stream_server import ADTS, OPUS, RAW, WAV, StreamServer
from rigs.waiting import wait_until

SECONDS = 60


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    sound = np.random.default_rng(3).integers(-8000, 8000, (16_000 * SECONDS, 2)).astype(np.int16)
    soundfile.write(tmp_path / "stereo.wav", sound, 16_000)
    return tmp_path / "stereo.wav"


def source_of(**settings: object) -> CaptureSource:
    whole = {"kind": "stream", "stream_rate": 16_000, "channels": (0, 1), **settings}
    return CaptureSource("hall", StreamSettings.model_validate(whole), seconds=60)


def heard(source: CaptureSource) -> np.ndarray:
    """Return the sound behind the last gap: a busy machine may take the first blocks for lost ones."""
    stretch = source.ring.read(0, source.ring.end)
    return stretch.samples[max((gap.end for gap in stretch.gaps), default=0) :]


def first_place(of: np.ndarray, within: np.ndarray) -> int:
    """Return the row of `within` at which the first rows of `of` stand."""
    begin = of[:32]
    rows = np.flatnonzero((within[:, 0] == begin[0, 0]) & (within[:, 1] == begin[0, 1]))
    return next(int(row) for row in rows if np.array_equal(within[row : row + len(begin)], begin))


@pytest.mark.parametrize(("output", "scheme", "raw"), [(WAV, "http", None), (RAW, "tcp", "s16le")])
def test_pcm_arrives_to_the_sample(stereo: Path, port: int, output: tuple[str, ...], scheme: str, raw: str | None):
    with StreamServer(stereo, port, output, scheme) as server, Listener(source_of(url=server.url, raw=raw)) as listener:
        listener.more(1.0)
        pieces: list[np.ndarray] = []

        def is_long() -> bool:
            pieces.append(heard(listener.source))
            return len(pieces[-1]) >= 16_000

        listener.until(is_long)
    got = pieces[-1][:16_000] * 32768
    sent = soundfile.read(stereo, dtype="int16")[0]
    first = first_place(got, sent)
    assert np.array_equal(got, sent[first : first + len(got)])
    assert listener.source.opened["lossy"] is False


@pytest.mark.parametrize(("output", "codec"), [(ADTS, "aac"), (OPUS, "opus")])
def test_a_codec_that_loses_sound_is_reported(stereo: Path, port: int, output: tuple[str, ...], codec: str):
    rate = 48_000 if codec == "opus" else 16_000
    with (
        StreamServer(stereo, port, output) as server,
        Listener(source_of(url=server.url, stream_rate=rate)) as listener,
    ):
        listener.state("healthy")
    assert listener.source.opened["lossy"] is True
    assert codec in listener.source.opened["codec"]


def test_the_server_ends_and_starts_again(stereo: Path, port: int):
    with StreamServer(stereo, port) as server, Listener(source_of(url=server.url)) as listener:
        listener.state("healthy")
        server.stop()
        listener.state("restarting")
        assert "was lost" in listener.source.status.reason
        server.start()
        listener.state("healthy")
    assert listener.source.counters.restarts >= 1
    assert listener.source.counters.gaps >= 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"stream_rate": 48_000},
            "2 channels (stereo), but 48000 Hz and 2 channels (stereo) are expected",
        ),
        ({"channels": (0,)}, "2 channels (stereo), but 16000 Hz and 1 channel (mono) are expected"),
    ],
)
def test_another_rate_or_number_of_channels_is_refused(
    stereo: Path, port: int, settings: dict[str, object], words: str
):
    with StreamServer(stereo, port) as server, Listener(source_of(url=server.url, **settings)) as listener:
        listener.until(lambda: words in listener.source.status.reason)
    assert listener.source.counters.samples == 0


def test_mono_for_stereo_is_refused(tmp_path: Path, port: int):
    soundfile.write(tmp_path / "mono.wav", np.zeros(16_000 * 9, np.int16), 16_000)
    with StreamServer(tmp_path / "mono.wav", port) as server, Listener(source_of(url=server.url)) as listener:
        listener.until(lambda: "1 channel (mono), but" in listener.source.status.reason)


def test_a_password_is_in_no_argument_and_no_message(stereo: Path, port: int, tmp_path: Path):
    place = tmp_path / "url"
    place.write_text(f"http://viewer:hidden-word@127.0.0.1:{port}/live?token=other-word\n")
    source = source_of(secret_url=Secret(file=place))
    with Listener(source) as listener:
        listener.until(lambda: source.status.reason != "")
        reason = source.status.reason
        with StreamServer(stereo, port):
            listener.state("healthy")
            arguments = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
    assert any("ffconcat" in text or "concat" in text for text in arguments)
    for text in (reason, str(source.opened), *(text for text in arguments if "-listen" not in text)):
        assert "hidden-word" not in text
        assert "other-word" not in text
    assert "***@127.0.0.1" in reason


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize(
    ("authority", "host", "opens"),
    [("authority", "localhost", True), ("other", "localhost", False), ("authority", "127.0.0.1", False)],
)
def test_https_is_read_where_authority_and_name_are_right(
    stereo: Path, tmp_path: Path, authority: str, host: str, opens: bool, secret: bool
):
    for name in ("authority", "other"):
        (tmp_path / name).mkdir()
        make_ca(tmp_path / name)
    with FileServer(stereo.parent, tmp_path / "authority") as server:
        url = f"{server.url}{stereo.name}".replace("localhost", host)
        (tmp_path / "url").write_text(url)
        place = {"secret_url": Secret(file=tmp_path / "url")} if secret else {"url": url}
        with Listener(source_of(**place, ca=tmp_path / authority / "ca.pem")) as listener:
            if opens:
                listener.state("healthy")
            else:
                listener.until(lambda: "cannot be opened" in listener.source.status.reason)
                assert listener.source.counters.samples == 0


def test_a_command_is_read_and_dies_with_the_source(tmp_path: Path):
    program = "import os,time\nwhile True: os.write(1, b'\\1\\0' * 1600); time.sleep(0.1)"
    source = source_of(command=(sys.executable, "-c", program), raw="s16le", channels=(0,))
    with Listener(source) as listener:
        listener.state("healthy")
        children = psutil.Process().children(recursive=True)
        assert len(children) >= 3
    wait_until(lambda: not any(c.is_running() and c.status() != "zombie" for c in children), "children are left")


def test_a_program_that_is_missing_is_named():
    with Listener(source_of(command=("/no/such/program",))) as listener:
        listener.until(lambda: "no such program" in listener.source.status.reason)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "http://u:p@host/x"}, "secret_url"),
        ({"url": "http://host/x?access_token=1"}, "secret_url"),
        ({"url": "file:///etc/passwd"}, "pattern"),
        ({"url": "tcp://host"}, "needs a port"),
        ({}, "give one of"),
        ({"url": "http://host/x", "command": ("arecord",)}, "give one of"),
        ({"url": "http://host/x", "stream_channels": 1}, "no such channel"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], words: str):
    with pytest.raises(ValidationError, match=words):
        source_of(**settings)


def test_urls_are_masked():
    assert mask("at rtsp://me:word@cam/1?token=x end") == "at rtsp://***@cam/1?*** end"


@pytest.mark.parametrize("edge", [3400, 4000, 6000])
def test_the_edge_of_a_limited_band_is_found(edge: int):
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 0.1, 48_000))
    spectrum[round(edge * 3) :] = 0
    assert band_edge(np.fft.irfft(spectrum).astype(np.float32)) == pytest.approx(edge, abs=200)


def test_a_whole_band_has_no_edge():
    noise = np.random.default_rng(1).normal(0, 0.1, 48_000)
    red = np.cumsum(noise) * 0.01  # falls by 6 dB an octave, as machines do
    assert band_edge(noise.astype(np.float32)) is None
    assert band_edge((red - red.mean()).astype(np.float32)) is None


def test_the_preflight_names_a_program_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    config = Config.model_validate(
        {
            "agent": {"name": "box"},
            "sources": {"hall": {"kind": "stream", "url": "http://host/x", "stream_rate": 16_000}},
            "monitors": {"press": {"source": "hall", "bundle": "b"}},
            "paths": {"state": tmp_path},
        }
    )
    found = preflight_files(config, 0.0)
    assert any(f.level == "problem" and "no program 'ffmpeg'" in f.what for f in found)
