"""Scores of a stream in the running agent, against those of the same sound as a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from asd_agent.bundle import Bundle
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.demo.broker import free_port
from asd_agent.history import FILE_NAME
from asd_agent.history.reader import open_history
from asd_agent.inference.scorer import BundleScorer
from asd_agent.recording_scores import RecordingSettings, score_recording
from rigs.agent import running, write_config
from rigs.broker import Broker
from rigs.bundles import hum, write_wav
from rigs.stream_server import StreamServer
from rigs.waiting import wait_until

HOP_SECONDS = 1.0
PACE = 5.0


@pytest.mark.rig
def test_pcm_from_the_network_has_the_scores_of_the_file(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "sound.wav", hum(12, 5))
    bundle = Bundle.open(bundle_path)
    file = score_recording(BundleScorer(bundle), sound, RecordingSettings(hop_seconds=HOP_SECONDS)).windows
    # Without a broker the end of the agent waits for what is to be sent.
    with Broker(tmp_path / "broker") as broker, StreamServer(sound, free_port(), pace=PACE) as server:
        source = {"kind": "stream", "url": server.url, "stream_rate": 16_000}
        config = write_config(tmp_path, bundle_path, source, broker.port, hop_seconds=HOP_SECONDS)
        with running(config) as agent:
            socket = tmp_path / "state" / SOCKET_NAME

            def counts() -> dict[str, Any]:
                try:
                    return dict(ask(socket, {"command": "status"})["health"]["windows"])
                except ControlError:
                    return {}

            # A busy machine skips windows of a stream that comes faster than it was recorded.
            wait_until(
                lambda: counts().get("scored", 0) + counts().get("skipped", 0) >= len(file),
                lambda: f"{counts()} {agent.lines}",
            )
    with open_history(tmp_path / "state" / FILE_NAME) as history:
        rows = history.windows("m", 0.0, math.inf).rows
    scores = {float(row["start"]): float(row["score"]) for row in rows if not math.isnan(row["score"])}
    assert scores
    wanted = {window.start: window.score for window in file}
    tolerance = bundle.manifest.tolerance
    assert scores == pytest.approx({start: wanted[start] for start in scores}, rel=tolerance, abs=tolerance)
