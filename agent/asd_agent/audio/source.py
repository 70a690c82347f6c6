"""A source of sound as the agent sees it: a ring that fills, a state, and a child that is replaced when it fails.

The source's own thread starts the child and writes the ring; the supervisor's `tick` judges by the samples that
arrived. Neither ever waits for the child.
"""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from typing import Any

from asd_agent.audio.counters import Counters, Level
from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.process import end, exit_reason, frames, spawn
from asd_agent.audio.protocol import Block, Notice
from asd_agent.audio.ring import Ring
from asd_agent.audio.sample_clock import SampleClock
from asd_agent.audio.source_state import Change, Order, SourceStateMachine, SourceTimeouts, State
from asd_agent.clock import Clock, SystemClock
from asd_agent.config.sources import SourceKind
from asd_agent.errors import AsdError

_POLL_SECONDS = 0.1


class CaptureSource:
    """One microphone or recording.

    Args:
        name: Its name in the configuration.
        settings: What to listen to.
        clock: The box's clocks.
        seconds: How much sound is kept.
        patience: How long is waited for what.
        wake: Set after every block and every change of state, by the source's thread.
    """

    def __init__(
        self,
        name: str,
        settings: SourceKind,
        *,
        clock: Clock | None = None,
        seconds: float = 60.0,
        patience: SourceTimeouts | None = None,
        wake: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.ring = Ring(seconds, len(settings.channels))
        self._clock = clock or SystemClock()
        self._wake = wake or threading.Event()
        live = settings.is_live
        self._placement = SampleClock(self.ring, self._clock, speed=None if live else settings.playback_speed)
        self._life = SourceStateMachine(self._clock.monotonic(), patience, live=live)
        self._lock = threading.Lock()
        self._heard = Counters()
        self._level = Level(len(settings.channels))
        self._opened: dict[str, Any] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._unreaped: list[subprocess.Popen[bytes]] = []
        self._needed: int | None = None
        self._room = threading.Event()
        self._abandon = threading.Event()
        self._spawn = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"source {name}", daemon=True)

    @property
    def state(self) -> State:
        """The state by now."""
        return self.status.state

    @property
    def status(self) -> Change:
        """The state with its reason and since when (monotonic seconds)."""
        with self._lock:
            return self._life.current

    @property
    def counters(self) -> Counters:
        """What it has been through; a value, which does not change any more."""
        with self._lock:
            lost = self._placement.losses
            return replace(
                self._heard,
                restarts=self._life.restarts,
                gaps=lost.gaps,
                samples_lost=lost.samples,
                wall_steps=self._placement.wall_steps,
                level_dbfs=self._level.dbfs,
                drift_ppm=self._placement.timeline.drift_ppm,
            )

    @property
    def opened(self) -> dict[str, Any]:
        """What the child opened last: `device`, `rate`, `channels`; empty before the first time."""
        with self._lock:
            return dict(self._opened)

    @property
    def attempted(self) -> bool:
        """Whether the first attempt to open it has come to an end, good or bad."""
        with self._lock:
            return self._life.attempted

    @property
    def alive(self) -> bool:
        """Whether the source's own thread runs; it does from `start` to `stop`, or to the end of a recording."""
        return self._thread.is_alive()

    def column(self, channel: int) -> int:
        """Which column of the ring holds a channel of the device.

        Raises:
            ValueError: The source does not send this channel.
        """
        return self.settings.channels.index(channel)

    def utc(self, index: int) -> float:
        """The moment of a sample, in seconds since 1970 UTC.

        A recording has its own time line: it starts when it is first played and runs at its own speed.

        Raises:
            ValueError: Nothing has been heard yet.
        """
        with self._lock:
            return self._placement.utc(index)

    def monotonic(self, index: int) -> float:
        """The monotonic time at which a sample was in the air, or played.

        Raises:
            ValueError: Nothing has been heard yet.
        """
        with self._lock:
            return self._placement.timeline.monotonic(index)

    def start(self) -> None:
        """Begin to listen; returns at once."""
        self._thread.start()
        self.tick(self._clock.monotonic())

    def tick(self, now: float) -> None:
        """Judge the source and order its child's end or replacement; several times a second, never blocks.

        Args:
            now: Monotonic seconds.
        """
        with self._lock:
            before = self._life.current
            order = self._life.tick(now)
            changed = self._life.current is not before
            if order is Order.SPAWN:
                self._spawn.set()
            elif order is Order.KILL:
                self._abandon.set()
            self._placement.follow_wall()
        if order is Order.KILL and self._child is not None:
            self._child.kill()
        if changed:
            self._wake.set()

    def keep_from(self, first: int) -> None:
        """Say from which sample on the sound is still needed; to be said again as readers go on.

        A recording then waits for its readers, however fast it is played. A microphone waits for nobody.
        """
        self._needed = first
        self._room.set()

    def take_changes(self) -> list[Change]:
        """Changes of state since this was last asked, oldest first."""
        with self._lock:
            return self._life.take_changes()

    def wait(self, timeout: float) -> bool:
        """Sleep until new samples are there; False when `timeout` seconds passed first."""
        return self.ring.wait_for(self.ring.end + 1, timeout)

    def stop(self) -> None:
        """End the child and the thread."""
        self._stopping.set()
        self._spawn.set()
        if self._child is not None:
            self._child.kill()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._spawn.wait(_POLL_SECONDS):
                with self._lock:
                    self._placement.fill(self._clock.monotonic())
                self._unreaped = [child for child in self._unreaped if child.poll() is None]
                continue
            if self._stopping.is_set():
                return
            try:
                if self._life_of_one_child():
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the source is opened again
                self._gone(f"reading the capture child failed ({type(error).__name__}: {error})")

    def _life_of_one_child(self) -> bool:
        """From its start to its end; whether the recording is over."""
        with self._lock:
            self._spawn.clear()
            self._abandon.clear()
            self._life.spawned(self._clock.monotonic())
            self._placement.reopened()
            request = self._request()
        try:
            child = self._child = spawn(request)
        except OSError as error:
            self._gone(f"the capture child cannot be started ({error.strerror})")
            return False
        try:
            reason = self._read(child)
        finally:
            if not end(child):
                self._unreaped.append(child)  # the next child does not wait for it
        if reason is None:
            reason = exit_reason(child)
        if self._abandon.is_set():
            with self._lock:
                reason = self._life.complaint
        self._gone(reason)
        return self.state == "ended"

    def _read(self, child: subprocess.Popen[bytes]) -> str | None:
        """Take what the child sends until it ends or is given up; its own word on why."""
        reason = None
        for frame in frames(child, _POLL_SECONDS):
            if self._stopping.is_set() or self._abandon.is_set():
                break
            if frame is None:
                with self._lock:
                    self._life.nothing(self._clock.monotonic())
                continue
            if isinstance(frame, Block):
                self._wait_for_room(len(frame.samples))
                self._take(frame)
            else:
                reason = self._hear(frame) or reason
            self._wake.set()
        return reason

    def _wait_for_room(self, count: int) -> None:
        """Let a recording wait rather than overwrite what is still needed."""
        while not self.settings.is_live and not self._stopping.is_set():
            if self._needed is None or self.ring.end + count - self._needed <= self.ring.capacity:
                return
            self._room.wait(_POLL_SECONDS)
            self._room.clear()

    def _take(self, block: Block) -> None:
        seconds = len(block.samples) / SAMPLE_RATE
        with self._lock:
            if len(block.samples):
                self._life.block(self._clock.monotonic(), seconds, zeros=not block.samples.any())
            written = self._placement.place(block)
            self._level.hear(block.samples)
            self._heard = replace(
                self._heard,
                frames=self._heard.frames + written,
                overflows=self._heard.overflows + block.overflow,
                drops=self._heard.drops + block.dropped,
            )

    def _hear(self, notice: Notice) -> str | None:
        with self._lock:
            if notice.kind == "opened":
                self._opened = notice.detail
            elif notice.kind == "skipped":
                self._heard = replace(self._heard, skipped=self._heard.skipped + 1)
            elif notice.kind == "ended":
                self._life.ended(self._clock.monotonic())
            elif notice.kind == "error":
                return str(AsdError(notice.detail["what"], notice.detail["remedy"]))
        return None

    def _gone(self, reason: str) -> None:
        if self._stopping.is_set():
            return  # it was asked to go
        with self._lock:
            self._life.exited(self._clock.monotonic(), reason)
            self._placement.left()
            self._level.forget()
        self.ring.wake()
        self._wake.set()

    def _request(self) -> dict[str, Any]:
        request: dict[str, Any] = {
            "capture": self.settings.capture_module,
            "settings": self.settings.model_dump(mode="json"),
        }
        if not self.settings.is_live and self._placement.timeline.anchored:
            request["anchor"] = self._placement.timeline.monotonic(0)
        return request
