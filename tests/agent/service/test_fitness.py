"""Threads of the service that end or hang: each is a fault of the health report, and none lets the watchdog be fed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asd_agent.clock import SystemClock
from asd_agent.config.file import load_config
from asd_agent.config.model import EvidenceSettings, MetricsSettings
from asd_agent.evidence.writer import EvidenceWriter
from asd_agent.history.store import AlarmRow, Limits
from asd_agent.history.writer import HistoryWriter
from asd_agent.service.loader import LoadedRuntime
from asd_agent.service.loop import Service
from asd_agent.work_timer import HANGS_SECONDS
from rigs.agent import write_config
from rigs.bundles import hum, write_wav
from rigs.waiting import wait_until

THREADS = {
    "publisher": "the publisher hangs or fails",
    "evidence": "the evidence thread has ended",
    "history": "the history thread has ended",
    "control": "the control socket has ended",
    "metrics": "the metrics thread has ended",
    "source sound": "source sound has ended",
}
"""Thread by name, and the words of its fault."""
ALARM = AlarmRow("a", "m", "fan", "00", "source", "b", raised_utc=0.0, severity=1, text="")


@contextmanager
def served(bundle_path: Path, folder: Path) -> Iterator[tuple[LoadedRuntime, Service]]:
    """A service of this process, with a recording that goes round and no broker."""
    source = {"kind": "file", "path": str(write_wav(folder / "hum.wav", hum(20, 3))), "loop": True}
    config = load_config(write_config(folder, bundle_path, source, 1))
    runtime = LoadedRuntime(config.model_copy(update={"metrics": MetricsSettings.model_construct(port=0)}))
    service = Service(runtime)
    thread = threading.Thread(target=service.run, args=(0.0,), name="loop")
    thread.start()
    try:
        wait_until(lambda: runtime.working, "the service does not start")
        yield runtime, service
    finally:
        service.stop()
        thread.join()


def end_next(*_: object, **__: object) -> None:
    """End the thread that calls, as nothing in its code provides for."""
    raise SystemExit


def step_of(runtime: LoadedRuntime, name: str) -> tuple[object, str]:
    """Return an object and its method that the thread calls soon, outside any lock."""
    steps = {
        "publisher": (runtime.publisher, "_once"),
        "evidence": (runtime.recorder._writer, "_acknowledge"),
        "history": (runtime.history_writer, "_commit"),
        "control": (runtime.control._server, "service_actions"),
        "metrics": (runtime.metrics and runtime.metrics._server, "service_actions"),
        "source sound": (runtime.sources["sound"], "_take_block"),
    }
    return steps[name]


def rouse(runtime: LoadedRuntime, name: str) -> None:
    """Give work to a thread that waits for some."""
    if name == "history" and runtime.history_writer:
        runtime.history_writer.add_rows(ALARM)
    elif name == "evidence":
        runtime.recorder._writer.acknowledge("a")
    elif name == "publisher":
        runtime.publisher.wake()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", THREADS)
def test_a_thread_that_ends_is_a_fault_and_starves_the_watchdog(
    bundle_path: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    with served(bundle_path, tmp_path) as (runtime, service):
        assert service.complaint() == ""
        assert "service" not in service.health().faults
        monkeypatch.setattr(*step_of(runtime, name), end_next)

        def noticed() -> bool:
            rouse(runtime, name)
            return THREADS[name] in service.complaint()

        wait_until(noticed, f"{name} has ended unnoticed")
        assert THREADS[name] in service.health().faults["service"]
    assert "service" not in service.health().faults  # a stop is no fault


class StuckClock(SystemClock):
    """A clock that can be set forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def test_a_history_whose_disk_hangs_is_a_fault_while_it_hangs(tmp_path: Path, monkeypatch):
    clock, reached, go_on = StuckClock(), threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        reached.set()
        go_on.wait()

    monkeypatch.setattr(HistoryWriter, "_commit", hang)
    writer = HistoryWriter(tmp_path / "history.sqlite3", Limits(), clock)
    writer.start()
    writer.add_rows(ALARM)
    reached.wait()
    assert writer.stats.fault == ""
    clock.ahead = HANGS_SECONDS + 1
    assert writer.stats.fault.startswith("its thread has been at one piece of work for 2")
    go_on.set()
    assert writer.stop(60.0)
    assert writer.stats.fault == ""


def test_evidence_whose_disk_hangs_is_a_fault_while_it_hangs(tmp_path: Path, monkeypatch):
    clock, reached, go_on = StuckClock(), threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        reached.set()
        go_on.wait()

    monkeypatch.setattr(EvidenceWriter, "_sweep", hang)
    writer = EvidenceWriter(tmp_path, EvidenceSettings(), clock, threading.Event())
    writer.start()
    reached.wait()
    clock.ahead = HANGS_SECONDS + 1
    assert "does the disk hang" in writer.stats.fault
    go_on.set()
    assert writer.stop(60.0)
    assert writer.stats.fault == ""


def test_the_stop_of_hung_parts_ends_before_the_service_manager_loses_patience(bundle_path: Path, tmp_path: Path):
    unit = (Path(__file__).parents[3] / "systemd" / "asd-agent.service").read_text()
    (patience,) = (float(line.split("=")[1]) for line in unit.splitlines() if line.startswith("TimeoutStopSec="))
    go_on = threading.Event()
    with served(bundle_path, tmp_path) as (runtime, service):
        for part in (runtime.recorder._writer._thread, runtime.history_writer._thread, *_sources(runtime)):
            part.join = lambda timeout=None: go_on.wait(timeout)
            part.is_alive = lambda: True
        begun = time.monotonic()
        service.stop()
        wait_until(lambda: not runtime.publisher._thread.is_alive(), "the stop hangs")
        assert time.monotonic() - begun < patience  # the parts wait for events, so a busy machine adds little
    go_on.set()


def _sources(runtime: LoadedRuntime) -> list[threading.Thread]:
    return [source._thread for source in runtime.sources.values()]
