"""The health report, and its parts in the terms of the wire."""

from __future__ import annotations

from dataclasses import asdict

from asd_agent.audio.source import CaptureSource
from asd_agent.clock import iso_utc
from asd_agent.monitor import Counts, Monitor
from asd_agent.mqtt.health import (
    DeliveryHealth,
    EvidenceHealth,
    Health,
    HistoryHealth,
    LastTest,
    MonitorHealth,
    NotifyHealth,
    OutboxHealth,
    SourceHealth,
    WindowCounts,
)
from asd_agent.mqtt.mapping import clock_word
from asd_agent.runtime import disk_free_bytes, temperature_celsius
from asd_agent.service.fitness import unfit
from asd_agent.service.inventory import inventory_of, versions
from asd_agent.service.loader import LoadedRuntime


def health_of(runtime: LoadedRuntime) -> Health:
    """Return the health report of a running service; may be called from any thread."""
    clock, outbox, publisher, evidence = runtime.clock, runtime.outbox, runtime.publisher, runtime.recorder.stats
    history = runtime.history_writer.stats if runtime.history_writer else None
    notify = runtime.notifier.stats
    monitors, counts = list(runtime.monitors.values()), runtime.retired
    for monitor in monitors:
        counts = counts.plus(monitor.counts)
    return Health(
        time=iso_utc(clock.utc()),
        uptime_seconds=round(clock.monotonic() - runtime.started, 1),
        versions=versions(),
        providers=dict(runtime.bundles.providers),
        sources={name: _source_health(source) for name, source in runtime.sources.items()},
        windows=_window_counts(counts),
        monitors={m.name: _window_counts(m.counts) for m in monitors},
        outbox=OutboxHealth(
            depth=outbox.depth(),
            oldest_seconds=round(outbox.oldest_seconds(), 1),
            dropped=outbox.dropped,
            durable=outbox.fault is None,
            damaged=outbox.damaged,
        ),
        disk_free_bytes=disk_free_bytes(runtime.config.paths.state),
        temperature_celsius=temperature_celsius(),
        boot_id=clock.boot_id,
        clock=clock_word(clock.synchronised()),
        faults={
            **runtime.bundles.faults,
            **publisher.faults,
            **({"evidence": evidence.fault} if evidence.fault else {}),
            **{f"notify {name}": stats.fault for name, stats in notify.items() if stats.fault},
            **({"history": history.fault} if history and history.fault else {}),
            **({"metrics": runtime.metrics.fault} if runtime.metrics and runtime.metrics.fault else {}),
            **({"service": ended} if (ended := unfit(runtime)) else {}),
        },
        evidence=EvidenceHealth(kept=evidence.kept, bytes=evidence.bytes, lost=evidence.lost),
        delivery=DeliveryHealth(
            connected=publisher.connected,
            connects=publisher.connects,
            scores_dropped=publisher.scores_dropped,
            **asdict(publisher.delivery_counts),
        ),
        agent=runtime.config.agent.name,
        last_test=LastTest(**asdict(proof)) if (proof := runtime.chain_tests.proof) else None,
        monitor_states={m.name: _monitor_health(m) for m in monitors},
        drift=dict(history.drift) if history else {},
        levels=dict(history.levels) if history else {},
        history=HistoryHealth(bytes=history.bytes, waiting=history.waiting, lost=history.lost) if history else None,
        inventory=inventory_of(runtime.bundles, runtime.configuration, runtime.installer.progress),
        notify={name: NotifyHealth(**asdict(stats)) for name, stats in notify.items()},
    )


def summary_of(health: Health) -> str:
    """Return the health report in one line, for `systemctl status`."""
    broker = "connected" if health.delivery.connected else "broker not connected"
    return f"{health.windows.scored} windows scored, {health.outbox.depth} alerts waiting, {broker}"


def _monitor_health(monitor: Monitor) -> MonitorHealth:
    window = monitor.state.newest
    return MonitorHealth(
        state=monitor.state.state,
        score=window.score if window else None,
        threshold=window.threshold if window else None,
        severity=monitor.state.severity,
        alarms_raised=monitor.alarms_raised,
        scoring_seconds=monitor.scoring_seconds,
    )


def _source_health(source: CaptureSource) -> SourceHealth:
    counters, opened = source.counters, source.opened
    return SourceHealth(
        state=source.state,
        frames=counters.samples,
        samples=counters.samples,
        gaps=counters.gaps,
        level_dbfs=counters.level_dbfs,
        samples_lost=counters.samples_lost,
        overflows=counters.overflows,
        drops=counters.drops,
        restarts=counters.restarts,
        wall_steps=counters.wall_steps,
        drift_ppm=round(counters.drift_ppm, 2),
        skipped=counters.skipped,
        opened_rate=opened.get("rate"),
        opened_channels=opened.get("opened_channels"),
        resampler=opened.get("resampler"),
    )


def _window_counts(counts: Counts) -> WindowCounts:
    return WindowCounts(**asdict(counts))
