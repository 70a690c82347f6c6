"""A microphone without a sound card: a private PulseAudio server whose null sink is heard by PortAudio as `testmic`.

Used as a context manager by any test that needs a real device to hear, lose and find again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import pytest
from typing_extensions import Self

from rigs.waiting import PATIENCE

DEVICE = "testmic"
"""The name to give as `device` in the configuration."""

_SERVER = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native
load-module module-null-sink sink_name=play rate={rate} channels={channels} format=s16le
load-module module-remap-source source_name=mic master=play.monitor
set-default-sink play
set-default-source mic
"""
_ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.testmic {{ type pulse server "unix:{folder}/native" device "mic" }}
"""
_OPTIONS = ("--daemonize=no", "--exit-idle-time=-1", "--disallow-exit", "--use-pid-file=no")


class VirtualMicrophone:
    """A sound server of its own, in a folder of its own, stopped by its process id.

    Args:
        rate: Rate of the device in Hz.
        channels: Channels of the device.
    """

    def __init__(self, rate: int = 16_000, channels: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="asd-mic-"))
        self._rate, self._channels = rate, channels
        self._server: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that opens the device."""
        return {"ALSA_CONFIG_PATH": str(self.folder / "asound.conf")}

    def start(self) -> None:
        """Start the server and wait until it answers; also brings a killed one back."""
        for name in ("run", "home"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        (self.folder / "pulse.pa").write_text(
            _SERVER.format(folder=self.folder, rate=self._rate, channels=self._channels)
        )
        (self.folder / "asound.conf").write_text(_ALSA.format(folder=self.folder))
        (self.folder / "native").unlink(missing_ok=True)
        with (self.folder / "pulse.log").open("ab") as log:
            self._server = subprocess.Popen(
                ["pulseaudio", "-n", "-F", str(self.folder / "pulse.pa"), *_OPTIONS],
                env=self._own_environment(),
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + PATIENCE
        while self._pactl("list", "short", "sources", check=False).find("\tmic\t") < 0:
            if self._server.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "pulse.log").read_text()[-2000:]
                raise RuntimeError(f"pulseaudio did not start: {said}")
            _pause()
        self._open_window()

    def play(self, path: Path) -> subprocess.Popen[bytes]:
        """Play a recording into the microphone's air; returns the player, which ends with the sound."""
        player = subprocess.Popen(
            ["paplay", "-d", "play", str(path)], env=self._own_environment(), stderr=subprocess.DEVNULL
        )
        self._players.append(player)
        return player

    def suspend(self) -> None:
        """The device stays and falls silent: no samples, no error."""
        self._pactl("suspend-source", "mic", "1")

    def resume(self) -> None:
        """End of `suspend`."""
        self._pactl("suspend-source", "mic", "0")

    def unplug(self) -> None:
        """Remove the device while the server lives on.

        Its sink goes as well: the server would move the listener to the sink's own monitor.
        """
        self._pactl("unload-module", "module-remap-source")
        self._pactl("unload-module", "module-null-sink")

    def plug(self) -> None:
        """End of `unplug`."""
        form = (f"rate={self._rate}", f"channels={self._channels}", "format=s16le")
        self._pactl("load-module", "module-null-sink", "sink_name=play", *form)
        self._pactl("load-module", "module-remap-source", "source_name=mic", "master=play.monitor")
        self._open_window()

    def kill(self) -> None:
        """The server dies; `start` brings it back."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def stop(self) -> None:
        """End everything that was started here and remove the folder."""
        for player in self._players:
            if player.poll() is None:
                player.kill()
            player.wait()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start; a machine without PulseAudio skips the test, CI fails it."""
        if shutil.which("pulseaudio") is None or shutil.which("paplay") is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            message = "pulseaudio and paplay are needed: apt-get install pulseaudio pulseaudio-utils libasound2-plugins"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open_window(self) -> None:
        """Play zeros for ever: a sink that somebody hurries wakes in half a second, a lonely one in two."""
        form = ("--raw", f"--rate={self._rate}", f"--channels={self._channels}", "--format=s16le", "--latency-msec=300")
        command = ["pacat", "--playback", "-d", "play", *form, "/dev/zero"]
        self._players.append(subprocess.Popen(command, env=self._own_environment(), stderr=subprocess.DEVNULL))

    def _own_environment(self) -> dict[str, str]:
        run = self.folder / "run"
        own = {"XDG_RUNTIME_DIR": str(run), "PULSE_RUNTIME_PATH": str(run / "pulse"), "HOME": str(self.folder / "home")}
        return {**os.environ, **own, "PULSE_SERVER": f"unix:{self.folder}/native"}

    def _pactl(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            ["pactl", *arguments],
            env=self._own_environment(),
            capture_output=True,
            text=True,
            check=check,
            timeout=PATIENCE,
        )
        return done.stdout


def _pause() -> None:
    """The server reports nothing when it is ready, so it is asked again after a moment."""
    time.sleep(0.05)
