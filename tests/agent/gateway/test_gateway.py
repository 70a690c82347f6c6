"""The gateway's verbs over its socket, against a running service."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import socket
import stat
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asd_agent.config.added import FILE_NAME, AddedMachines, staged
from asd_agent.control_client import MAX_BYTES
from asd_agent.gateway import server as server_module
from asd_agent.gateway.job_child import NICENESS
from asd_agent.gateway.listen import MOST_STREAMS, PIECE_SAMPLES
from asd_agent.gateway.server import CONNECTIONS, GatewayAnswer, GatewayServer
from asd_agent.outbox.reader import alerts, open_outbox
from asd_agent.outbox.schema import OUTBOX_NAME
from rigs.page import PageBox, ask_gateway, page_box
from rigs.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, bundle_path: Path) -> Iterator[PageBox]:
    """One service for the tests of this file."""
    with page_box(tmp_path_factory.mktemp("box"), bundle_path) as made:
        yield made


def test_states_and_settings_of_the_running_service(box: PageBox):
    assert stat.S_IMODE(box.socket.stat().st_mode) == 0o660
    states, _ = box.ask("states")
    assert states["running"]
    assert states["monitors"]["m"]["state"] in {"active", "acknowledged"}
    about, _ = box.ask("about")
    assert about["monitors"]["m"]["k"] == 3
    assert about["sources"]["sound"]["channels"] == [0]


def test_history_and_alarms_with_their_judgements(box: PageBox):
    now = time.time()
    series = box.ask("series", monitor="m", start=now - 6 * 3600, end=now, points=100)[0]["series"]
    assert 50 < len(series["time"]) <= 101
    assert max(v for v in series["high"] if v is not None) > 4.0
    assert None in box.ask("series", monitor="m", start=now - 6 * 3600, end=now, points=2000)[0]["series"]["mean"]
    alarms = box.ask("alarms", start=now - 86_400, end=now + 60)[0]["alarms"]
    assert {"seed-true", "seed-false", box.standing()} <= {a["alarm_id"] for a in alarms}
    judged = box.ask("alarms", start=now - 86_400, end=now + 60, verdict="false")[0]["alarms"]
    assert [a["alarm_id"] for a in judged] == ["seed-false"]


def test_evidence_of_the_standing_alarm(box: PageBox):
    alarm_id = box.standing()
    found, _ = box.ask("alarm", alarm_id=alarm_id)
    evidence = {"monitor": "m", "evidence_id": found["alarm"]["evidence_id"]}
    assert found["evidence"]["alarm_id"] == alarm_id
    assert box.ask("evidence", file="clip", **evidence)[1].startswith(b"fLaC")
    assert box.ask("evidence", file="picture", **evidence)[1].startswith(b"\x89PNG")
    with zipfile.ZipFile(io.BytesIO(box.ask("evidence", file="zip", **evidence)[1])) as archive:
        assert {n.rsplit("/")[-1] for n in archive.namelist()} >= {"clip.flac", "evidence.json"}


@pytest.mark.parametrize(
    "fields",
    [
        {"monitor": "..", "evidence_id": "x"},
        {"monitor": "m", "evidence_id": "../../outbox.sqlite3"},
        {"monitor": "m", "evidence_id": "."},
        {"monitor": "m", "evidence_id": ""},
        {"monitor": "m/../m", "evidence_id": "x"},
        {"monitor": "m", "evidence_id": ["x"]},
        {"monitor": "m", "evidence_id": "x\u0000"},
    ],
)
def test_no_path_leads_out_of_the_evidence(box: PageBox, fields: dict[str, object]):
    for file in ("clip", "zip"):
        answer, body = box.ask("evidence", file=file, **fields)
        assert "error" in answer
        assert body == b""


def test_a_link_in_the_evidence_leads_nowhere(box: PageBox):
    folder = box.state / "evidence" / "m" / "linked"
    folder.mkdir()
    (folder / "clip.flac").symlink_to(box.config)
    (box.state / "evidence" / "m" / "linked-folder").symlink_to(box.state)
    assert "error" in box.ask("evidence", monitor="m", evidence_id="linked", file="clip")[0]
    assert "error" in box.ask("evidence", monitor="m", evidence_id="linked-folder", file="zip")[0]


def test_actions_carry_the_name_of_the_person(box: PageBox):
    alarm_id = box.standing()
    done, _ = box.ask("action", monitor="m", action="acknowledge", alarm_id=alarm_id, note="bearing ordered", by="anna")
    assert done["done"]
    box.ask("action", monitor="m", action="verdict", alarm_id=alarm_id, verdict="true", label="bearing", by="anna")
    wait_until(
        lambda: box.ask("alarm", alarm_id=alarm_id)[0]["alarm"]["verdict"] == "true", "no verdict in the history"
    )
    events = box.ask("alarm", alarm_id=alarm_id)[0]["alarm"]["events"]
    assert [e["by"] for e in events if e["event"] == "acknowledged"] == ["anna"]
    box.agent.wait_log("command acknowledge of 'anna' on monitor m")


@pytest.mark.parametrize(
    "document",
    [
        {"verb": "action", "monitor": "m", "action": "acknowledge"},
        {"verb": "action", "monitor": "m", "action": "acknowledge", "by": "  "},
        {"verb": "action", "monitor": "m", "action": "acknowledge", "by": "a\nb"},
        {"verb": "action", "monitor": "m", "action": "retire", "by": "anna"},
        {"verb": "action", "monitor": "nobody", "action": "acknowledge", "by": "anna"},
        {"verb": "series", "monitor": "m", "start": 0, "end": float(10**12)},
        {"verb": "series", "monitor": "m", "start": "a", "end": 1},
        {"verb": "replay", "monitor": "m", "start": 0, "end": 10, "k": 5, "n": 2},
        {"verb": "listen", "monitor": "nobody"},
        {"verb": "listen", "monitor": "../m"},
        {"verb": "sound", "source": "sound", "first": 0, "count": 1},
        {"verb": "calibrate", "monitor": "nobody", "minutes": 5, "by": "anna"},
        {"verb": "calibrate", "monitor": "m", "minutes": 5},
        {"verb": "calibrate", "monitor": "m", "minutes": 1e6, "by": "anna"},
        {"verb": "cancel_job", "by": "anna"},
        {"verb": "apply_calibration", "monitor": "m", "by": "anna"},
        {"verb": "undo_calibration", "monitor": "m", "by": "anna"},
        {"verb": "reload"},
        {"verb": "retire"},
        {"verb": None},
        {},
    ],
)
def test_requests_out_of_bounds_are_refused(box: PageBox, document: dict[str, object]):
    assert "error" in ask_gateway(box.socket, document)[0]


def listener(box: PageBox) -> socket.socket:
    """A connection that has asked for the live sound of the monitor."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(box.socket))
    connection.sendall(b'{"verb": "listen", "monitor": "m"}\n')
    return connection


def piece(connection: socket.socket) -> bytes:
    """The next sound of a stream; documents without any come while none is recorded."""
    with connection.makefile("rb") as stream:
        while not (found := json.loads(stream.readline()))["samples"]:
            assert found["state"] == "healthy"
    return base64.b64decode(found["samples"])


def test_live_sound_has_bounds_and_leaves_no_thread(box: PageBox):
    before = threads(box)
    listeners = [listener(box) for _ in range(MOST_STREAMS)]
    for connection in listeners:
        sound = np.frombuffer(piece(connection), "<f4")
        assert len(sound) == PIECE_SAMPLES
        assert 0.01 < np.abs(sound).max() <= 1.0
    assert "listened to already" in ask_gateway(box.socket, {"verb": "listen", "monitor": "m"})[0]["error"]
    for connection in listeners:
        connection.close()
    wait_until(lambda: threads(box) <= before, "a thread is left of listeners that have gone")
    with listener(box) as connection:
        assert piece(connection)


def threads(box: PageBox) -> int:
    """Threads of the gateway's process."""
    return len(list(Path(f"/proc/{gateway_pid(box)}/task").iterdir()))


def test_a_replay_with_another_level_and_its_use_as_a_site_calibration(box: PageBox):
    now = time.time()
    stretch = {"monitor": "m", "start": now - 6 * 3600, "end": now - 600}
    same, _ = box.ask("replay", **stretch)
    assert (same["lost"], same["spared"]) == ([], [])
    other, _ = box.ask("replay", level=5.8, **stretch)
    assert [a["alarm_id"] for a in other["spared"]] == ["seed-false"]
    assert other["lost"] == []
    applied, _ = box.ask("apply_level", level=5.8, k=4, n=6, by="anna", **stretch)
    assert applied["lines"] == ["domain: site", "alarm: {raise_after: 4 of 6}"]
    assert not applied["in_use"]
    assert list((box.state / "site").glob("*-00/0001/overlay.json"))


def test_a_new_calibration_is_used_and_taken_back(box: PageBox):
    """The draft of a job is that of the test before, so that nothing has to be fitted here."""
    (stored,) = box.state.glob("site/*-00/0001")
    before = box.ask("calibrations", monitor="m")[0]
    assert (before["job"], before["has_draft"], len(before["stored"])) == (None, False, 1)
    shutil.copytree(stored, box.state / "site-drafts" / "m" / "draft" / "0001")
    assert box.ask("calibrations", monitor="m")[0]["has_draft"]
    assert box.ask("apply_calibration", monitor="m", by="carl")[0]["in_use"] is False
    after = box.ask("calibrations", monitor="m")[0]
    assert (after["has_draft"], [c["number"] for c in after["stored"]], after["stored"][0]["by"]) == (
        False, [2, 1], "carl"
    )  # fmt: skip
    assert "no new calibration" in box.ask("apply_calibration", monitor="m", by="carl")[0]["error"]
    assert box.ask("undo_calibration", monitor="m", by="carl")[0]["left"] == 1
    assert box.ask("calibrations", monitor="m")[0] == before


def test_alerts_link_to_the_page_of_their_alarm(box: PageBox):
    with open_outbox(box.state / OUTBOX_NAME) as db:
        found = [alert for _, alert, _ in alerts(db, 20) if alert["event"] == "raised"]
    assert found[0]["url"] == f"https://box.plant/asd/alarms/{found[0]['alarm_id']}"


def test_updates_stream_changes(box: PageBox):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(box.socket))
        connection.sendall(b'{"verb": "updates"}\n')
        with connection.makefile("rb") as stream:
            assert b'"running": true' in stream.readline()
            assert b'"running": true' in stream.readline()  # the next window


def test_the_log_and_the_support_archive(box: PageBox):
    lines = box.ask("log")[0]["lines"]
    assert any("raised" in line["text"] for line in lines)
    answer, body = box.ask("support")
    assert answer["bytes"] == len(body)
    assert body.startswith(b"\x1f\x8b")
    assert box.ask("doctor")[0]["findings"]


def test_a_reload_keeps_the_gateway_and_its_job_and_answers_its_request(box: PageBox, bundle_path: Path):
    before, added = gateway_pid(box), box.state / FILE_NAME
    assert box.ask("reload", by="anna")[0]["text"]
    assert box.ask("calibrate", monitor="m", minutes=120, by="anna")[0] == {"bytes": 0}
    with staged(
        added, AddedMachines.model_validate({"monitors": {"n": {"source": "sound", "bundle": str(bundle_path)}}})
    ):
        pass
    assert "monitor n added" in box.ask("reload", by="anna")[0]["text"]
    wait_until(lambda: set(box.ask("about")[0]["monitors"]) == {"m", "n"}, "the gateway has the former settings")
    assert gateway_pid(box) == before
    assert box.ask("calibrations", monitor="n")[0]["job"]["state"] == "running"
    box.ask("cancel_job", by="anna")
    wait_until(lambda: box.ask("calibrations", monitor="n")[0]["job"]["state"] == "cancelled", "the job goes on")
    added.unlink()
    assert "monitor n removed" in box.ask("reload", by="anna")[0]["text"]


def test_a_killed_gateway_is_started_again_and_the_service_goes_on(box: PageBox, monkeypatch: pytest.MonkeyPatch):
    gateway = gateway_pid(box)
    assert os.getpriority(os.PRIO_PROCESS, gateway) >= 10
    assert box.ask("calibrate", monitor="m", minutes=120, by="anna")[0] == {"bytes": 0}
    assert "anna already runs" in box.ask("calibrate", monitor="m", minutes=5, by="otto")[0]["error"]
    assert box.ask("calibrations", monitor="m")[0]["job"]["state"] == "running"
    wait_until(lambda: jobs_of(gateway), "the job has no process of a low priority")
    (job,) = jobs_of(gateway)
    os.kill(gateway, signal.SIGKILL)
    box.agent.wait_log("gateway has ended (status -9)")
    wait_until(lambda: not Path(f"/proc/{job}/exe").exists(), "the job outlives the gateway")
    wait_until(lambda: answers(box), "the gateway does not come back")
    assert box.agent.process.poll() is None


def jobs_of(gateway: int) -> list[int]:
    """Processes that the gateway has started, once they have their priority."""
    found = Path(f"/proc/{gateway}/task").glob("*/children")
    children = [int(pid) for path in found for pid in path.read_text().split()]
    return [pid for pid in children if os.getpriority(os.PRIO_PROCESS, pid) == NICENESS]


def gateway_pid(box: PageBox) -> int:
    return next(
        pid for pid in box.agent.children() if b"asd_agent.gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def answers(box: PageBox) -> bool:
    try:
        return bool(box.ask("states")[0]["running"])
    except OSError:
        return False


class Waiting:
    """A handler that answers when it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def answer(self, document: dict[str, object]) -> GatewayAnswer:
        self.release.wait(PATIENCE)
        return GatewayAnswer({"document": document})


def test_more_connections_than_places_are_refused_and_slow_ones_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "REQUEST_SECONDS", 0.3)
    handler = Waiting()
    server = GatewayServer(tmp_path / "w.sock", handler)
    server.start()
    slow = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTIONS)]
    try:
        for connection in slow:
            connection.connect(str(tmp_path / "w.sock"))
            connection.sendall(b"{")
        assert "too many" in ask_gateway(tmp_path / "w.sock", {})[0]["error"]
        for connection in slow:
            connection.settimeout(PATIENCE)
            assert connection.recv(1) == b""  # ended without an answer
        handler.release.set()
        wait_until(lambda: "document" in ask_gateway(tmp_path / "w.sock", {})[0], "the places are not given back")
        assert "error" in ask_gateway(tmp_path / "w.sock", {"x": "y" * MAX_BYTES})[0]
    finally:
        for connection in slow:
            connection.close()
        server.stop()
