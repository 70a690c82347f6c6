"""Capture of source kind `stream`: ffmpeg decodes, and rate and channels are compared with those expected.

ffmpeg writes what it decodes, without conversion, behind a header that names rate and channels. A URL with a password
reaches it through its standard input, since everybody may read the arguments of a process.
"""

from __future__ import annotations

import collections
import os
import re
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.protocol import ChildNotice
from asd_agent.audio.sender import Chunk, Sender, send
from asd_agent.errors import AudioError

_OPEN_SECONDS = 5.0
"""Before the time-out of the service, so that the reason is known."""
_READ_BYTES = 2**16
_LINES = 20
_LINE_BYTES = 400
_AU = struct.Struct(">4sIIIII")
"""Magic, offset of the sound, its size, encoding, rate, channels; ffmpeg writes all with the highest byte first."""
_AU_FLOAT = 6
_LONGEST_HEADER = 4096
_PROTOCOLS = "http,https,httpproxy,tcp,tls,rtp,udp,pipe"
"""Without `file`: a playlist from the network is not to open files of this box."""
_CODEC = re.compile(r"Stream #\S+.*?: Audio: (\w+)")
_CODEC_SECONDS = 5.0
"""Time until ffmpeg's line about the codec, which it writes before the first sound, has been read here."""
_LOSSLESS = re.compile(r"pcm_(?!alaw|mulaw)\w+|flac|alac|wavpack|tta|truehd|mlp")
_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]+@")
_QUERY = re.compile(r"(\w+://[^\s?'\"]+)\?[^\s'\"]+")


def capture(settings: dict[str, Any], pipe: int, anchor: float | None) -> None:  # noqa: ARG001 - a stream has no past
    """See `asd_agent.audio.child.CaptureModule`."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise AudioError("ffmpeg is not installed", "Run `apt-get install ffmpeg`.")
    url = _secret(settings["secret_url"]) if settings["secret_url"] else settings["url"]
    channels = tuple(settings["channels"])
    count = settings["stream_channels"] or max(channels) + 1
    name = mask(url) if url else settings["command"][0]
    decoder = _start(program, settings, url, count)
    assert decoder.stdout is not None
    assert decoder.stderr is not None
    messages = _Messages(decoder.stderr, url)
    reader = _Reader(decoder.stdout)
    rate, sent = _header(reader, name, messages)
    if (rate, sent) != (settings["stream_rate"], count):
        decoder.kill()
        raise AudioError(
            f"stream {name} has {rate} Hz and {_channels(sent)}, "
            f"but {settings['stream_rate']} Hz and {_channels(count)} are expected",
            "Change the stream at its server, or 'stream_rate', 'channels' and 'stream_channels' of this source.",
        )
    codec = messages.codec()
    report = {
        "device": name,
        "rate": rate,
        "channels": list(channels),
        "opened_channels": sent,
        "resampler": "none" if rate == SAMPLE_RATE else "soxr",
        "codec": codec,
        "lossy": bool(codec) and _LOSSLESS.fullmatch(codec) is None,
    }
    send(pipe, ChildNotice("opened", report))
    sender = Sender(pipe, rate, len(channels))
    first = 0
    for data in reader.blocks(4 * sent):
        samples = np.frombuffer(data, dtype=">f4").astype(np.float32).reshape(-1, sent)[:, list(channels)]
        sender.put(Chunk(samples, first, time.monotonic()))
        first += len(samples)
    raise AudioError(f"stream {name} was lost{messages.reason()}", "Is its server up, and the network?")


def mask(text: str) -> str:
    """Return a text with user names, passwords and queries of URLs masked."""
    return _QUERY.sub(r"\1?***", _CREDENTIALS.sub(r"\1***@", text))


def _channels(count: int) -> str:
    return {1: "1 channel (mono)", 2: "2 channels (stereo)"}.get(count, f"{count} channels")


def _secret(place: dict[str, Any]) -> str:
    """Return the URL in a file or a credential."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(place["file"]) if place["file"] else Path(folder) / place["credential"]
    try:
        with path.open(encoding="utf-8") as file:
            url = file.read(_LONGEST_HEADER).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{path}: cannot be read ({error})", "Write the URL alone into that file.") from error
    if not re.fullmatch(r"(rtsp|http|https|tcp)://[^\s'\"\\]+", url):
        raise AudioError(f"{path}: holds no URL of rtsp, http, https or tcp", "Write the URL alone into that file.")
    return url


def _start(program: str, settings: dict[str, Any], url: str | None, count: int) -> subprocess.Popen[bytes]:
    """Start ffmpeg, and the command that it reads where there is one. Both die with this process."""
    options = _input_options(url, settings["ca"])
    if settings["raw"]:
        options |= {"f": settings["raw"], "ar": str(settings["stream_rate"]), "ac": str(count)}
    stdin: int | IO[bytes] = subprocess.DEVNULL
    text = b""
    if settings["secret_url"]:
        lines = ["ffconcat version 1.0", f"file '{url}'", *(f"option {key} {value}" for key, value in options.items())]
        text = "\n".join([*lines, ""]).encode()
        options, place, stdin = {"f": "concat", "safe": "0"}, "pipe:0", subprocess.PIPE
    elif url:
        place = url
    else:
        stdin, place = _run(settings["command"]), "pipe:0"
    arguments = [
        *_dies_with_us(),
        program,
        "-hide_banner",
        "-nostats",
        "-loglevel",
        "info",
        "-protocol_whitelist",
        _PROTOCOLS,
    ]
    arguments += ["-analyzeduration", "2000000"]
    for key, value in options.items():
        arguments += [f"-{key}", value]
    arguments += ["-i", place, "-map", "0:a:0", "-c:a", "pcm_f32be", "-flush_packets", "1", "-f", "au", "pipe:1"]
    decoder = subprocess.Popen(arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if decoder.stdin is not None:
        decoder.stdin.write(text)
        decoder.stdin.close()
    return decoder


def _input_options(url: str | None, ca: str | None) -> dict[str, str]:
    scheme = urlsplit(url).scheme if url else ""
    if scheme == "rtsp":
        return {"rtsp_transport": "tcp"}
    if scheme == "https":
        return {"tls_verify": "1"} | ({"ca_file": ca} if ca else {})
    return {}


def _run(command: list[str]) -> IO[bytes]:
    if shutil.which(command[0]) is None:
        raise AudioError(f"command {command[0]!r}: there is no such program", "Name a program that can run.")
    try:
        running = subprocess.Popen(
            [*_dies_with_us(), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise AudioError(
            f"command {command[0]!r} cannot be started ({error.strerror})", "Name a program that can run."
        ) from error
    assert running.stdout is not None
    return running.stdout


def _dies_with_us() -> list[str]:
    """Return the words before a command that has the kernel kill it when this process is gone.

    Where util-linux lacks `setpriv`, the command ends at its next output, which nobody reads.
    """
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "KILL", "--"] if program else []


class _Messages:
    """Last lines that ffmpeg wrote, cut and masked."""

    def __init__(self, pipe: IO[bytes], url: str | None) -> None:
        self._pipe, self._url = pipe, url
        self._lines: collections.deque[str] = collections.deque(maxlen=_LINES)
        self._codec = ""
        self._named = threading.Event()
        self._thread = threading.Thread(target=self._read, name="messages", daemon=True)
        self._thread.start()

    def codec(self) -> str:
        """Return the codec of the stream; empty where ffmpeg does not name it."""
        self._named.wait(_CODEC_SECONDS)
        return self._codec

    def reason(self) -> str:
        """Return the last line in brackets, with a space before it; empty where there is none."""
        self._thread.join(0.5)
        lines = [line for line in self._lines if not line.startswith(("size=", "  "))]
        return f" ({lines[-1]})" if lines else ""

    def _read(self) -> None:
        while line := self._pipe.readline(_LINE_BYTES):
            text = line.decode("utf-8", "replace").rstrip()
            found = _CODEC.search(text)
            if found and not self._codec:
                self._codec = found[1]
                self._named.set()
            if self._url:
                text = text.replace(self._url, mask(self._url))
            if text:
                self._lines.append(mask(text))


class _Reader:
    """Output of ffmpeg, read as it comes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe.fileno()
        self._kept = b""

    def exactly(self, size: int, until: float) -> bytes | None:
        """Return so many bytes; None where they have not come by then (monotonic seconds), or never will."""
        while len(self._kept) < size:
            ready = select.select([self._pipe], [], [], max(0.0, until - time.monotonic()))[0]
            data = os.read(self._pipe, _READ_BYTES) if ready else b""
            if not data:
                return None
            self._kept += data
        taken, self._kept = self._kept[:size], self._kept[size:]
        return taken

    def blocks(self, frame: int) -> Iterator[bytes]:
        """Yield whole frames of so many bytes as they come, to the end."""
        while True:
            whole = len(self._kept) - len(self._kept) % frame
            if whole:
                yield self._kept[:whole]
                self._kept = self._kept[whole:]
            data = os.read(self._pipe, _READ_BYTES)
            if not data:
                return
            self._kept += data


def _header(reader: _Reader, name: str, messages: _Messages) -> tuple[int, int]:
    """Return rate and channels by the header, once it has come."""
    until = time.monotonic() + _OPEN_SECONDS
    head = reader.exactly(_AU.size, until)
    if head is None:
        raise AudioError(f"stream {name} cannot be opened{messages.reason()}", "Is its server up, and the URL right?")
    magic, offset, _, encoding, rate, channels = _AU.unpack(head)
    if magic != b".snd" or encoding != _AU_FLOAT or not _AU.size <= offset <= _LONGEST_HEADER:
        raise AudioError("ffmpeg sent something else than sound", "Install the ffmpeg of the operating system.")
    reader.exactly(offset - _AU.size, until)
    return rate, channels
