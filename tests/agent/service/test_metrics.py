"""Metrics for Prometheus: every loss is a counter, and `/healthz` judges as the watchdog does."""

from __future__ import annotations

import contextlib
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from asd_agent.config.model import MetricsSettings
from asd_agent.demo.broker import free_port
from asd_agent.service import metrics
from asd_agent.service.metrics import MetricsExporter
from rigs.agent import running, write_config
from rigs.bundles import hum, write_wav
from rigs.healthy import HealthyService
from rigs.waiting import PATIENCE, wait_until


def read(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def service() -> HealthyService:
    return HealthyService()


@pytest.fixture
def port(service: HealthyService):
    exporter = MetricsExporter(MetricsSettings(port=free_port()))
    exporter.start(service)
    yield exporter.port
    exporter.stop()


@pytest.mark.parametrize(
    "line",
    [
        'asd_info{version="0.1.0"} 1.0',
        'asd_windows_total{monitor="press",outcome="skipped"} 2.0',
        'asd_windows_total{monitor="press",outcome="invalid"} 2.0',
        'asd_windows_suspect_total{monitor="press"} 1.0',
        'asd_source_state{source="mic",state="stalled"} 1.0',
        'asd_source_state{source="mic",state="healthy"} 0.0',
        'asd_source_samples_total{source="mic"} 160001.0',
        'asd_source_frames_total{source="mic"} 160000.0',
        'asd_source_samples_lost_total{source="mic"} 800.0',
        'asd_source_overflows_total{source="mic"} 4.0',
        'asd_source_drops_total{source="mic"} 5.0',
        "asd_outbox_waiting 8.0",
        "asd_outbox_dropped_total 11.0",
        "asd_outbox_durable 0.0",
        "asd_published_late_total 18.0",
        "asd_publications_refused_total 19.0",
        "asd_scores_dropped_total 20.0",
        "asd_evidence_lost_total 15.0",
        'asd_fault{part="broker"} 1.0',
        "asd_clock_synchronised 0.0",
    ],
)
def test_each_number_of_health_is_a_metric(port: int, line: str):
    status, text = read(port, "/metrics")
    assert status == 200
    assert line in text.splitlines()


def test_healthz_says_what_the_watchdog_is_told(port: int, service: HealthyService):
    assert read(port, "/healthz") == (200, "ok\n")
    service.complains = "the publisher hangs"
    assert read(port, "/healthz") == (503, "the publisher hangs\n")
    assert read(port, "/")[0] == 404


def test_a_port_that_is_taken_is_said_and_ends_nothing(port: int, caplog: pytest.LogCaptureFixture):
    second = MetricsExporter(MetricsSettings(port=port))
    second.start(HealthyService())
    assert second.port == 0
    assert "cannot be listened on" in caplog.text
    second.stop()


def test_a_running_agent_answers_where_it_is_told_to_and_nowhere_else(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "sound.wav", hum(30, 1))
    metrics = free_port()
    config = write_config(tmp_path, bundle_path, {"kind": "file", "path": str(sound), "loop": True}, free_port())
    with config.open("a") as file:
        file.write(f"metrics: {{port: {metrics}}}\n")
    with running(config) as agent:
        agent.wait_log("listening:")
        assert read(metrics, "/healthz") == (200, "ok\n")
        assert 'asd_windows_total{monitor="m",outcome="skipped"} 0.0' in read(metrics, "/metrics")[1]


def test_a_connection_beyond_the_most_is_closed_at_once(port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "CONNECTION_SECONDS", 10 * PATIENCE)
    monkeypatch.setattr(metrics._MetricsRequest, "timeout", 10 * PATIENCE)
    slow = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(metrics.MOST_CONNECTIONS)]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as beyond, contextlib.suppress(ConnectionError):
        assert beyond.recv(1) == b""
    for connection in slow:
        connection.close()
    wait_until(lambda: _answers(port), "an answer once there is room")


def test_a_request_that_never_ends_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "CONNECTION_SECONDS", 0.1)
    monkeypatch.setattr(metrics._MetricsRequest, "timeout", 10 * PATIENCE)
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as slow, contextlib.suppress(ConnectionError):
        slow.sendall(b"GET /metrics")
        assert slow.recv(1) == b""


def _answers(port: int) -> bool:
    try:
        return read(port, "/healthz")[0] == 200
    except OSError:
        return False
