"""Fitness of the running parts: threads that have ended or fail again and again.

Such a part starves the watchdog, so that systemd starts the service again, and is a fault of the health report until
then. A lost broker or microphone is none: the parts that serve them run and try again.
"""

from __future__ import annotations

from asd_agent.service.loader import LoadedRuntime


def unfit(runtime: LoadedRuntime) -> str:
    """Return which parts have ended that must not, in words; empty while all run. May be called from any thread."""
    found: list[str] = []
    if not runtime.working:
        return ""
    if not runtime.publisher.alive():
        found.append("the publisher hangs or fails")
    if not runtime.recorder.alive():
        found.append("the evidence thread has ended")
    if runtime.history_writer and not runtime.history_writer.alive():
        found.append("the history thread has ended")
    if ended := runtime.notifier.ended():
        found.append(f"the thread of notifications to {', '.join(ended)} has ended")
    if not runtime.control.alive():
        found.append("the control socket has ended")
    if runtime.metrics and not runtime.metrics.alive():
        found.append("the metrics thread has ended")
    found += [f"source {s.name} has ended" for s in runtime.sources.values() if not (s.alive or s.state == "ended")]
    return ", ".join(found)
