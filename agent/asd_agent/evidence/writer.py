"""The one thread that writes evidence: encodes, makes room, puts files in place, and says what became of each.

Whatever the disk does, the alarm goes on: evidence that cannot be kept is lost, counted and said.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from asd_agent.alarm import EvidenceSummary
from asd_agent.clock import Clock
from asd_agent.config.model import EvidenceSettings
from asd_agent.evidence.hourmeter import Hourmeter
from asd_agent.evidence.job import Job, build
from asd_agent.evidence.retention import Bounds, Item, plan
from asd_agent.evidence.store import NOTED, folder_bytes, held, sweep_unfinished
from asd_agent.runtime import disk_free_bytes
from asd_agent.whole_files import put, remove, write_whole

log = logging.getLogger(__name__)

MOST_WAITING = 8
"""Alarms whose sound may wait in memory to be written; more at once are lost."""
SWEEP_SECONDS = 3600.0
NOTED_KEPT = 100
"""Acknowledged alarms that are remembered until their evidence is written."""
_NICENESS = 10
"""Scoring goes first."""


@dataclass(frozen=True)
class Outcome:
    """What became of the evidence of one alarm.

    Attributes:
        monitor: Whose.
        id: Of the evidence.
        proof: What is kept; None where it was lost.
        reason: Why it was lost, in words.
    """

    monitor: str
    id: str
    proof: EvidenceSummary | None
    reason: str = ""


@dataclass(frozen=True)
class Standing:
    """How the evidence fares.

    Attributes:
        kept: Number kept.
        bytes: Of these.
        lost: Since the start.
        fault: Why the last one was lost; empty once one was kept again.
    """

    kept: int = 0
    bytes: int = 0
    lost: int = 0
    fault: str = ""


@dataclass(frozen=True)
class _Entry:
    path: Path
    bytes: int
    meter: float
    acknowledged: bool
    alarm_id: str


@dataclass(frozen=True)
class _Noted:
    alarm_id: str


class EvidenceWriter:
    """Keeps evidence below one folder.

    Args:
        folder: Where.
        settings: How much.
        clock: The clocks.
        wake: Set when an outcome waits.
        free: Bytes of the disk that are free; by default what the file system says.
    """

    def __init__(
        self,
        folder: Path,
        settings: EvidenceSettings,
        clock: Clock,
        wake: threading.Event,
        free: Callable[[], int] | None = None,
    ) -> None:
        self._folder, self._clock, self._wake = folder, clock, wake
        self._free = free or (lambda: disk_free_bytes(folder))
        self._bounds = Bounds(
            keep_seconds=settings.keep_days * 86_400,
            max_bytes=round(settings.max_megabytes * 1e6),
            free_bytes=round(settings.free_megabytes * 1e6),
        )
        self._work: queue.Queue[Job | _Noted | None] = queue.Queue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._standing = Standing()
        self._entries: dict[str, _Entry] = {}
        self._noted: deque[str] = deque(maxlen=NOTED_KEPT)
        self._meter: Hourmeter | None = None
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)

    @property
    def standing(self) -> Standing:
        """How it fares; a value, which does not change any more."""
        with self._lock:
            return self._standing

    def start(self) -> None:
        """Begin; the thread first looks at what is there."""
        self._thread.start()

    def alive(self) -> bool:
        """Return whether the thread runs, or has not been started."""
        return self._thread.ident is None or self._thread.is_alive()

    def offer(self, job: Job) -> None:
        """Have evidence written; its outcome comes later, at once where too many wait."""
        with self._lock:
            full = self._waiting >= MOST_WAITING
            self._waiting += not full
        if full:
            self.lose(job.monitor, job.id, f"{MOST_WAITING} others wait to be written")
        else:
            self._work.put(job)

    def lose(self, monitor: str, evidence_id: str, reason: str) -> None:
        """Count evidence that cannot be kept, and say why."""
        with self._lock:
            lost, before = self._standing.lost + 1, self._standing.fault
            self._standing = replace(self._standing, lost=lost, fault=reason)
        if reason != before:
            log.error("evidence %s of %s is lost: %s", evidence_id, monitor, reason)
        self._outcomes.put(Outcome(monitor, evidence_id, None, reason))

    def note(self, alarm_id: str) -> None:
        """A person has acknowledged this alarm: its evidence may go before that of others."""
        self._work.put(_Noted(alarm_id))

    def take(self) -> list[Outcome]:
        """What became of jobs since this was last asked."""
        taken: list[Outcome] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._outcomes.get_nowait())
        return taken

    def stop(self, timeout: float) -> bool:
        """Write what waits and end; whether that was done in `timeout` seconds."""
        if not self._thread.is_alive():
            return True
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # it is a wish
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        self._sweep()
        while True:
            try:
                work = self._work.get(timeout=SWEEP_SECONDS)
            except queue.Empty:
                self._sweep()
                continue
            if work is None:
                self._save_meter()
                return
            if isinstance(work, _Noted):
                self._acknowledge(work.alarm_id)
            else:
                self._keep(work)

    def _keep(self, job: Job) -> None:
        try:
            alarm_id = str(job.alert["alarm_id"])
            files, proof = build(job, self._clock.utc(), self._read_meter())
            noted = alarm_id in self._noted
            if noted:
                files[NOTED] = b""
            size = sum(map(len, files.values()))
            refusal = self._make_room(size)
            if refusal:
                self.lose(job.monitor, job.id, refusal)
                return
            path = self._folder / job.folder
            put(path, files)
        except OSError as error:
            self.lose(job.monitor, job.id, f"{self._folder} cannot be written ({error.strerror})")
        except Exception as error:  # noqa: BLE001 - the next alarm's evidence must not suffer
            self.lose(job.monitor, job.id, f"it cannot be made ({type(error).__name__}: {error})")
        else:
            entry = _Entry(path, size, self._read_meter(), noted, alarm_id)
            self._entries[job.id] = entry
            self._count(fault="")
            log.info("evidence %s of %s is kept", job.id, job.monitor)
            self._outcomes.put(Outcome(job.monitor, job.id, proof))
            self._save_meter()
        finally:
            with self._lock:
                self._waiting -= 1
            self._wake.set()

    def _make_room(self, incoming: int) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = self._read_meter()
        items = [Item(i, e.bytes, now - e.meter, e.acknowledged) for i, e in self._entries.items()]
        planned = plan(items, self._bounds, self._free(), incoming)
        for evidence_id in planned.remove:
            try:
                remove(self._entries[evidence_id].path)
            except FileNotFoundError:
                pass  # somebody was quicker
            except OSError as error:
                log.warning("evidence %s cannot be removed (%s)", evidence_id, error.strerror)
                continue
            del self._entries[evidence_id]
        if planned.remove:
            log.info("%d evidence removed, %d kept", len(planned.remove), len(self._entries))
            self._count()
        return planned.refusal

    def _sweep(self) -> None:
        """Look at what is there, and let go what is too old or too much."""
        try:
            if self._folder.is_dir():
                for path in sweep_unfinished(self._folder):
                    log.warning("%s was unfinished and is removed", path)
                self._entries = {
                    h.id: _Entry(
                        h.path,
                        h.bytes,
                        h.record.meter_seconds if h.record else 0.0,
                        # What cannot be read proves nothing and goes first.
                        acknowledged=h.acknowledged or h.record is None,
                        alarm_id=h.record.alarm_id if h.record else "",
                    )
                    for h in held(self._folder)
                }
                self._make_room(0)
                self._save_meter()
        except OSError as error:
            log.warning("%s cannot be looked through (%s)", self._folder, error.strerror)
        self._count()

    def _acknowledge(self, alarm_id: str) -> None:
        self._noted.append(alarm_id)
        for evidence_id, entry in self._entries.items():
            if entry.alarm_id == alarm_id and not entry.acknowledged:
                try:
                    write_whole(entry.path / NOTED, b"")
                    size = folder_bytes(entry.path)
                except OSError as error:
                    log.warning("evidence %s cannot be marked as acknowledged (%s)", evidence_id, error.strerror)
                    return
                self._entries[evidence_id] = replace(entry, acknowledged=True, bytes=size)
                return

    def _count(self, fault: str | None = None) -> None:
        with self._lock:
            self._standing = replace(
                self._standing,
                kept=len(self._entries),
                bytes=sum(e.bytes for e in self._entries.values()),
                fault=self._standing.fault if fault is None else fault,
            )

    def _read_meter(self) -> float:
        if self._meter is None:
            newest = max((e.meter for e in self._entries.values()), default=0.0)
            self._meter = Hourmeter(self._folder, self._clock, at_least=newest)
        return self._meter.read()

    def _save_meter(self) -> None:
        if self._meter is not None and self._folder.is_dir():
            try:
                self._meter.save()
            except OSError as error:
                log.debug("the hour meter cannot be saved (%s)", error.strerror)
