"""Writer of evidence, a thread of its own: encodes, makes room, stores the files, and reports each outcome.

Whatever the disk does, the alarm goes on: evidence that cannot be stored is lost, counted and reported.
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
from asd_agent.evidence.job import EvidenceJob, build_files
from asd_agent.evidence.retention import Hourmeter, RetentionItem, RetentionLimits, plan_retention
from asd_agent.evidence.store import ACKNOWLEDGED, PICTURE, folder_bytes, list_evidence, sweep_unfinished
from asd_agent.runtime import disk_free_bytes
from asd_agent.whole_files import put, remove, write_whole
from asd_agent.work_timer import WorkTimer

log = logging.getLogger(__name__)

MOST_WAITING = 8
"""Alarms whose sound may wait in memory to be written, 2.5 MB each; more at once are lost."""
SWEEP_SECONDS = 3600.0
"""Time between two sweeps; ages are counted in days."""
ACKNOWLEDGED_KEPT = 100
"""Acknowledged alarms that are remembered until their evidence is written."""
_NICENESS = 10
"""Below that of scoring."""


@dataclass(frozen=True)
class WriteOutcome:
    """Outcome of writing the evidence of one alarm.

    Attributes:
        monitor: Name of the monitor.
        id: Id of the evidence.
        summary: Summary of the stored evidence; None where it was lost.
        reason: Reason why it was lost.
        picture: The picture as PNG; empty where none could be drawn.
    """

    monitor: str
    id: str
    summary: EvidenceSummary | None
    reason: str = ""
    picture: bytes = b""


@dataclass(frozen=True)
class EvidenceStats:
    """Counts of stored and lost evidence.

    Attributes:
        kept: Number that is stored.
        bytes: Their size.
        lost: Number lost since the start.
        fault: Reason why the last one was lost; empty once one was stored again.
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
class _Acknowledged:
    alarm_id: str


class EvidenceWriter:
    """Stores evidence below one folder.

    Args:
        folder: The folder.
        settings: Limits.
        clock: The clocks.
        wake: Set when an outcome waits.
        free: Returns the bytes of the disk that are free; by default those that the file system reports.
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
        self._limits = RetentionLimits(
            keep_seconds=settings.keep_days * 86_400,
            max_bytes=round(settings.max_megabytes * 1e6),
            free_bytes=round(settings.free_megabytes * 1e6),
        )
        self._work: queue.Queue[EvidenceJob | _Acknowledged | None] = queue.Queue()
        self._outcomes: queue.SimpleQueue[WriteOutcome] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._stats = EvidenceStats()
        self._entries: dict[str, _Entry] = {}
        self._acknowledged: deque[str] = deque(maxlen=ACKNOWLEDGED_KEPT)
        self._meter: Hourmeter | None = None
        self._timer = WorkTimer(clock)
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)

    @property
    def stats(self) -> EvidenceStats:
        """Counts by now; a value, which does not change any more."""
        with self._lock:
            stats = self._stats
        return replace(stats, fault=stats.fault or self._timer.complaint)

    def start(self) -> None:
        """Start the thread, which first sweeps the folder."""
        self._thread.start()

    def alive(self) -> bool:
        """Return whether the thread runs, or has not been started."""
        return self._thread.ident is None or self._thread.is_alive()

    def offer(self, job: EvidenceJob) -> None:
        """Queue evidence to be written; its outcome comes later, at once where too many wait."""
        with self._lock:
            full = self._waiting >= MOST_WAITING
            self._waiting += not full
        if full:
            self.lose(job.monitor, job.id, f"{MOST_WAITING} others wait to be written")
        else:
            self._work.put(job)

    def lose(self, monitor: str, evidence_id: str, reason: str) -> None:
        """Count evidence that cannot be stored, and report the reason."""
        with self._lock:
            lost, before = self._stats.lost + 1, self._stats.fault
            self._stats = replace(self._stats, lost=lost, fault=reason)
        if reason != before:
            log.error("evidence %s of %s is lost: %s", evidence_id, monitor, reason)
        self._outcomes.put(WriteOutcome(monitor, evidence_id, None, reason))

    def acknowledge(self, alarm_id: str) -> None:
        """Note that a person has acknowledged an alarm: its evidence is removed before that of others."""
        self._work.put(_Acknowledged(alarm_id))

    def take(self) -> list[WriteOutcome]:
        """Return the outcomes since the last call."""
        taken: list[WriteOutcome] = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._outcomes.get_nowait())
        return taken

    def stop(self, timeout: float) -> bool:
        """Write all evidence that waits and end; return true where that was done in `timeout` seconds."""
        if not self._thread.is_alive():
            return True
        self._work.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # not essential
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        with self._timer.work():
            self._sweep()
        while True:
            try:
                work = self._work.get(timeout=SWEEP_SECONDS)
            except queue.Empty:
                with self._timer.work():
                    self._sweep()
                continue
            if work is None:
                self._save_meter()
                return
            with self._timer.work():
                if isinstance(work, _Acknowledged):
                    self._acknowledge(work.alarm_id)
                else:
                    self._store(work)

    def _store(self, job: EvidenceJob) -> None:
        try:
            alarm_id = str(job.alert["alarm_id"])
            files, summary = build_files(job, self._clock.utc(), self._read_meter())
            acknowledged = alarm_id in self._acknowledged
            if acknowledged:
                files[ACKNOWLEDGED] = b""
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
            self.lose(job.monitor, job.id, f"its files cannot be made ({type(error).__name__}: {error})")
        else:
            entry = _Entry(path, size, self._read_meter(), acknowledged, alarm_id)
            self._entries[job.id] = entry
            self._count(fault="")
            log.info("evidence %s of %s is kept", job.id, job.monitor)
            self._outcomes.put(WriteOutcome(job.monitor, job.id, summary, picture=files.get(PICTURE, b"")))
            self._save_meter()
        finally:
            with self._lock:
                self._waiting -= 1
            self._wake.set()

    def _make_room(self, incoming: int) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = self._read_meter()
        items = [RetentionItem(i, e.bytes, now - e.meter, e.acknowledged) for i, e in self._entries.items()]
        planned = plan_retention(items, self._limits, self._free(), incoming)
        for evidence_id in planned.remove:
            try:
                remove(self._entries[evidence_id].path)
            except FileNotFoundError:
                pass  # removed by another process
            except OSError as error:
                log.warning("evidence %s cannot be removed (%s)", evidence_id, error.strerror)
                continue
            del self._entries[evidence_id]
        if planned.remove:
            log.info("%d evidence removed, %d kept", len(planned.remove), len(self._entries))
            self._count()
        return planned.refusal

    def _sweep(self) -> None:
        """List the stored evidence, and remove what is too old or too much."""
        try:
            if self._folder.is_dir():
                for path in sweep_unfinished(self._folder):
                    log.warning("%s was unfinished and is removed", path)
                self._entries = {
                    e.id: _Entry(
                        e.path,
                        e.bytes,
                        e.record.meter_seconds if e.record else 0.0,
                        # Evidence without a readable record is worth least and is removed first.
                        acknowledged=e.acknowledged or e.record is None,
                        alarm_id=e.record.alarm_id if e.record else "",
                    )
                    for e in list_evidence(self._folder)
                }
                self._make_room(0)
                self._save_meter()
        except OSError as error:
            log.warning("%s cannot be listed (%s)", self._folder, error.strerror)
        self._count()

    def _acknowledge(self, alarm_id: str) -> None:
        self._acknowledged.append(alarm_id)
        for evidence_id, entry in self._entries.items():
            if entry.alarm_id == alarm_id and not entry.acknowledged:
                try:
                    write_whole(entry.path / ACKNOWLEDGED, b"")
                    size = folder_bytes(entry.path)
                except OSError as error:
                    log.warning("evidence %s cannot be marked as acknowledged (%s)", evidence_id, error.strerror)
                    return
                self._entries[evidence_id] = replace(entry, acknowledged=True, bytes=size)
                return

    def _count(self, fault: str | None = None) -> None:
        with self._lock:
            self._stats = replace(
                self._stats,
                kept=len(self._entries),
                bytes=sum(e.bytes for e in self._entries.values()),
                fault=self._stats.fault if fault is None else fault,
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
