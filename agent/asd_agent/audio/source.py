"""Source of sound: a ring that fills, a state, and a capture child that is replaced when it fails.

The source's own thread starts the child and writes the ring; the supervisor's `tick` judges by the samples that
arrived. Neither ever waits for the child.
"""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from typing import Any

from asd_agent.audio.counters import LevelMeter, SourceCounters
from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.process import end, exit_reason, read_packets, spawn
from asd_agent.audio.protocol import Block, ChildNotice
from asd_agent.audio.ring import Ring
from asd_agent.audio.sample_clock import EVENLY, IN_CHUNKS, GapFiller
from asd_agent.audio.shared_windows import SharedWindows
from asd_agent.audio.source_state import SourceAction, SourceStateMachine, SourceStateName, SourceStatus, SourceTimeouts
from asd_agent.clock import Clock, SystemClock
from asd_agent.config.sources import SourceKind
from asd_agent.errors import AsdError
from asd_agent.notices import AgentNotice

_NOTICES_KEPT = 1000
"""Recordings that are reported as skipped, each once; of more only the count is kept."""
_POLL_SECONDS = 0.1
"""A tenth of the shortest time-out, so that a stop or a kill is noticed in time."""


class CaptureSource:
    """One source of the configuration, of any kind.

    Args:
        name: Its name in the configuration.
        settings: Settings of the source.
        clock: The box's clocks.
        seconds: Length of sound that is kept.
        timeouts: Time-outs.
        wake: Set after every block that `wake_at` wants and every change of state, by the source's thread.
    """

    def __init__(
        self,
        name: str,
        settings: SourceKind,
        *,
        clock: Clock | None = None,
        seconds: float = 60.0,
        timeouts: SourceTimeouts | None = None,
        wake: threading.Event | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.ring = Ring(seconds, len(settings.channels))
        self.shared_windows = SharedWindows(self.ring)
        self._clock = clock or SystemClock()
        self._wake = wake or threading.Event()
        live = settings.is_live
        self._gap_filler = GapFiller(
            self.ring,
            self._clock,
            speed=None if live else settings.playback_speed,
            watch=IN_CHUNKS if settings.comes_in_chunks else EVENLY,
        )
        self._states = SourceStateMachine(self._clock.monotonic(), timeouts, live=live)
        self._lock = threading.Lock()
        self._counters = SourceCounters()
        self._level = LevelMeter(len(settings.channels))
        self._opened: dict[str, Any] = {}
        self._notices: list[AgentNotice] = []
        self._skipped: set[str] = set()
        self._first_attempt: float | None = None
        self._played_from: float | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._unreaped: list[subprocess.Popen[bytes]] = []
        self._needed: int | None = None
        self._wanted = 0
        self._room = threading.Event()
        self._abandon = threading.Event()
        self._spawn = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"source {name}", daemon=True)

    @property
    def state(self) -> SourceStateName:
        """Name of the state by now."""
        return self.status.state

    @property
    def status(self) -> SourceStatus:
        """State with its reason and the time at which it began (monotonic seconds)."""
        with self._lock:
            return self._states.current

    @property
    def counters(self) -> SourceCounters:
        """Counters since the start; a value, which does not change any more."""
        with self._lock:
            lost = self._gap_filler.losses
            return replace(
                self._counters,
                restarts=self._states.restarts,
                gaps=lost.gaps,
                samples_lost=lost.samples,
                wall_steps=self._gap_filler.wall_steps,
                level_dbfs=self._level.dbfs,
                drift_ppm=self._gap_filler.sample_clock.drift_ppm,
            )

    @property
    def opened(self) -> dict[str, Any]:
        """Report of the child on what it opened last; empty before the first time.

        `device`, `rate` (Hz), `channels` (those sent), and where known `opened_channels` (their number at the device)
        and `resampler` (part that converts to 16 kHz: `none`, `soxr` or `sound server`).
        """
        with self._lock:
            return dict(self._opened)

    @property
    def attempted(self) -> bool:
        """True once the first attempt to open it has come to an end, good or bad."""
        with self._lock:
            return self._states.attempted

    @property
    def alive(self) -> bool:
        """True while the source's own thread runs: from `start` to `stop`, or to the end of a recording."""
        return self._thread.is_alive()

    def column(self, channel: int) -> int:
        """Return the column of the ring that holds a channel of the device.

        Raises:
            ValueError: The source does not send this channel.
        """
        return self.settings.channels.index(channel)

    def utc(self, index: int) -> float:
        """Return the time of a sample in seconds since 1970 UTC.

        A recording has its own time line: it starts when it is first played and runs at its own speed.

        Raises:
            ValueError: No sound has arrived yet.
        """
        with self._lock:
            return self._gap_filler.utc(index)

    def monotonic(self, index: int) -> float:
        """Return the monotonic time at which a sample was in the air, or played.

        Raises:
            ValueError: No sound has arrived yet.
        """
        with self._lock:
            return self._gap_filler.sample_clock.monotonic(index)

    def start(self) -> None:
        """Start to record; returns at once."""
        self._thread.start()
        self.tick(self._clock.monotonic())

    def tick(self, now: float) -> None:
        """Judge the source and have its child ended or replaced. Call several times per second; never blocks.

        Args:
            now: Monotonic seconds.
        """
        with self._lock:
            before = self._states.current
            action = self._states.tick(now)
            changed = self._states.current is not before
            if action is SourceAction.SPAWN:
                self._spawn.set()
            elif action is SourceAction.KILL:
                self._abandon.set()
            self._gap_filler.follow_wall()
        if action is SourceAction.KILL and self._child is not None:
            self._child.kill()
        if changed:
            self._wake.set()

    def keep_from(self, first: int) -> None:
        """Set the first sample that is still needed; to be set again as readers go on.

        A recording then waits for its readers, however fast it is played. A live source waits for nobody.
        """
        self._needed = first
        self._room.set()

    def wake_at(self, end: int) -> None:
        """Wake the reader only once the sample before `end` is there; to be set again as the reader goes on."""
        self._wanted = end

    def take_changes(self) -> list[SourceStatus]:
        """Return the changes of state since the last call, oldest first."""
        with self._lock:
            return self._states.take_changes()

    def take_notices(self) -> list[AgentNotice]:
        """Return the notices since the last call, oldest first: recordings that were skipped, each of them once."""
        with self._lock:
            taken, self._notices = self._notices, []
        return taken

    def wait(self, timeout: float) -> bool:
        """Wait for new samples; return False when `timeout` seconds passed first."""
        return self.ring.wait_for(self.ring.end + 1, timeout)

    def end(self) -> None:
        """Ask child and thread to end; return at once."""
        self._stopping.set()
        self._spawn.set()
        if self._child is not None:
            self._child.kill()

    def stop(self, timeout: float = 2.0) -> None:
        """End child and thread; wait for the thread up to so many seconds."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._spawn.wait(_POLL_SECONDS):
                with self._lock:
                    self._gap_filler.fill(self._clock.monotonic())
                self._unreaped = [child for child in self._unreaped if child.poll() is None]
                continue
            if self._stopping.is_set():
                return
            try:
                if self._run_child():
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the source is opened again
                self._gone(f"reading the capture child failed ({type(error).__name__}: {error})")

    def _run_child(self) -> bool:
        """Start a child and read it to its end; return true once the recording is over."""
        with self._lock:
            self._spawn.clear()
            self._abandon.clear()
            now = self._clock.monotonic()
            self._first_attempt = now if self._first_attempt is None else self._first_attempt
            self._states.spawned(now)
            self._gap_filler.reopened()
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
                reason = self._states.kill_reason
        self._gone(reason)
        return self.state == "ended"

    def _read(self, child: subprocess.Popen[bytes]) -> str | None:
        """Take the packets of a child until it ends or is given up; return the reason that it gave, if any."""
        reason = None
        for packet in read_packets(child, _POLL_SECONDS):
            if self._stopping.is_set() or self._abandon.is_set():
                break
            if packet is None:
                with self._lock:
                    self._states.no_block(self._clock.monotonic())
                continue
            if isinstance(packet, Block):
                self._wait_for_room(len(packet.samples))
                self._take_block(packet)
                if self.ring.end < self._wanted:
                    continue
            else:
                reason = self._take_notice(packet) or reason
            self._wake.set()
        return reason

    def _wait_for_room(self, count: int) -> None:
        """Let a recording wait rather than overwrite what is still needed."""
        while not self.settings.is_live and not self._stopping.is_set():
            if self._needed is None or self.ring.end + count - self._needed <= self.ring.capacity:
                return
            self._room.wait(_POLL_SECONDS)
            self._room.clear()

    def _take_block(self, block: Block) -> None:
        seconds = len(block.samples) / SAMPLE_RATE
        with self._lock:
            if len(block.samples):
                self._states.block(self._clock.monotonic(), seconds, zeros=not block.samples.any())
            if self._played_from is None:
                self._played_from = block.end_time - len(block.samples) / self._gap_filler.sample_clock.rate
            written = self._gap_filler.place(block)
            self._level.add(block.samples)
            self._counters = replace(
                self._counters,
                samples=self._counters.samples + written,
                overflows=self._counters.overflows + block.overflow,
                drops=self._counters.drops + block.dropped,
            )

    def _take_notice(self, notice: ChildNotice) -> str | None:
        with self._lock:
            if notice.kind == "opened":
                self._opened = notice.detail
            elif notice.kind == "skipped":
                self._counters = replace(self._counters, skipped=self._counters.skipped + 1)
                self._note_skipped(str(notice.detail["what"]))
            elif notice.kind == "ended":
                self._states.ended(self._clock.monotonic())
            elif notice.kind == "error":
                return str(AsdError(notice.detail["what"], notice.detail["remedy"]))
        return None

    def _note_skipped(self, text: str) -> None:
        if text not in self._skipped and len(self._skipped) < _NOTICES_KEPT:
            self._skipped.add(text)
            self._notices.append(AgentNotice("recording_skipped", self.name, text))

    def _gone(self, reason: str) -> None:
        if self._stopping.is_set():
            return  # stopped on purpose
        with self._lock:
            self._states.exited(self._clock.monotonic(), reason)
            if self._first_attempt is not None and self._states.current.state != "ended":
                self._gap_filler.begin(self._first_attempt)
            self._gap_filler.left()
            self._level.reset()
        self.ring.wake()
        self._wake.set()

    def _request(self) -> dict[str, Any]:
        request: dict[str, Any] = {
            "capture": self.settings.capture_module,
            "settings": self.settings.model_dump(mode="json"),
        }
        if not self.settings.is_live and self._played_from is not None:
            request["anchor"] = self._played_from
        return request
