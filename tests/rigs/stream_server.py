"""A server of live sound: a real ffmpeg that sends a recording over a port of loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import Self

WAV = ("-c:a", "pcm_s16le", "-f", "wav")
ADTS = ("-c:a", "aac", "-b:a", "48k", "-f", "adts")
OPUS = ("-c:a", "libopus", "-b:a", "24k", "-f", "ogg")
RAW = ("-c:a", "pcm_s16le", "-f", "s16le")


class StreamServer:
    """Serves one listener, then ends; started again, it begins anew on the same port.

    Args:
        recording: A file that ffmpeg reads.
        port: Its port.
        output: Codec and container, as ffmpeg's arguments.
        scheme: `http` or `tcp`.
        pace: Seconds of sound per second.
    """

    def __init__(
        self,
        recording: Path,
        port: int,
        output: Sequence[str] = WAV,
        scheme: str = "http",
        *,
        pace: float = 1.0,
    ) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}" + ("/live" if scheme == "http" else "")
        listen = ["-listen", "1", self.url] if scheme == "http" else [f"{self.url}?listen=1"]
        self._command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-readrate", str(pace), "-i", str(recording)]
        self._command += [*output, "-flush_packets", "1", *listen]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End at once, in the middle of the sound."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
