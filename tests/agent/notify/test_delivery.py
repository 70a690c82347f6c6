"""Messages reach real servers, in spite of outages, slow answers, TLS, restarts and full disks; each once."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest

from rigs.broker import make_ca
from rigs.hand_clock import HandClock
from rigs.mail_server import MailServer
from rigs.notifying import alert, notifying, target
from rigs.push_server import PushServer
from rigs.waiting import wait_until


def test_an_alarm_and_its_end_are_one_mail_thread(tmp_path: Path):
    with MailServer() as server:
        url = f"mailto://localhost:{server.port}?mode=insecure&from=asd@example.org&to=shift@example.org"
        with notifying(tmp_path, target(tmp_path, url)) as rig:
            rig.store(alert(alarm_id="a1"), alert("cleared", alarm_id="a1"))
            raised, cleared = server.wait_for(2)
    assert raised["Subject"] == "hall-3 press: alarm, severity 300"
    assert cleared["Subject"] == "hall-3 press: alarm has cleared"
    assert raised["References"] == cleared["References"] == "<a1@asd-agent>"
    body = raised.get_body()
    assert body is not None
    assert "Score: 4.50, raise level 2.00" in body.get_content()


def test_ntfy_is_told_which_message_to_replace(tmp_path: Path):
    with PushServer() as server, notifying(tmp_path, target(tmp_path, f"ntfy://localhost:{server.port}/hall")) as rig:
        rig.store(alert(alarm_id="a1"), alert("cleared", alarm_id="a1"))
        raised, cleared = server.wait_for(2)
        sequence = {headers["x-sequence-id"] for _, headers, _ in server.received}
    assert (raised["topic"], raised["title"]) == ("hall", "hall-3 press: alarm, severity 300")
    assert cleared["title"] == "hall-3 press: alarm has cleared"
    assert sequence == {"a1"}


def test_an_outage_delays_and_marks_and_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "asd_agent.notify")
    server, clock = PushServer(), HandClock()
    url = f"json://user:open%20sesame@localhost:{server.port}/hook-token"
    with notifying(tmp_path, target(tmp_path, url), clock) as rig:
        ids = rig.store(alert(), alert())
        wait_until(lambda: rig.stats.fault, "a target that is away is no fault")
        fault = rig.stats.fault
        clock.now += 60.0
        clock.wall += 60.0
        with server:
            rig.notifier.cycle()
            for t in rig.notifier._targets:
                t.wake()
            late = server.wait_for(2)
            ids += rig.store(alert())
            prompt = server.wait_for(3)[2]
            wait_until(lambda: rig.stats.sent == 3, "not counted")
            assert (rig.stats.late, rig.stats.fault, rig.stats.waiting) == (2, "", 0)
    assert [m["id"] for m in server.objects()] == ids
    assert [m["late"] for m in late] == [True, True]
    assert late[0]["title"].startswith("[late] ")
    assert "sent 60 s late" in late[0]["message"]
    assert prompt["late"] is False
    for secret in ("sesame", "hook-token", "open"):
        assert secret not in fault.replace("messages do not arrive", "")
        assert secret not in caplog.text
    assert "messages arrive again" in caplog.text


def test_a_slow_server_is_given_up_and_gets_the_message_again(tmp_path: Path):
    with PushServer() as server:
        server.gate.clear()
        settings = target(tmp_path, f"json://localhost:{server.port}", timeout_seconds=1)
        with notifying(tmp_path, settings) as rig:
            (first,) = rig.store(alert())
            server.wait_attempts(1)
            wait_until(lambda: rig.stats.failed, "the wait for an answer has no end")
            server.gate.set()
            assert {m["id"] for m in server.wait_for(1)} == {first}
            wait_until(lambda: rig.stats.sent == 1, "not counted")


def test_tls_is_checked_against_the_authority_that_was_named(tmp_path: Path):
    make_ca(tmp_path)
    with PushServer(tmp_path) as server, MailServer(tmp_path) as mails:
        (tmp_path / "a").mkdir()
        hook = target(tmp_path / "a", f"jsons://localhost:{server.port}", ca=tmp_path / "ca.pem")
        with notifying(tmp_path / "a", hook) as rig:
            rig.store(alert())
            server.wait_for(1)
        url = f"mailtos://localhost:{mails.port}?mode=ssl&from=asd@example.org&to=shift@example.org"
        (tmp_path / "b").mkdir()
        with notifying(tmp_path / "b", target(tmp_path / "b", url, ca=tmp_path / "ca.pem")) as rig:
            rig.store(alert())
            mails.wait_for(1)
        (tmp_path / "c").mkdir()
        with notifying(tmp_path / "c", target(tmp_path / "c", f"jsons://localhost:{server.port}")) as rig:
            rig.store(alert())
            wait_until(lambda: rig.stats.fault, "an unknown authority is trusted")
    assert len(server.received) == 1


def test_what_waits_is_sent_after_a_restart_and_nothing_twice(tmp_path: Path):
    server = PushServer()
    settings = target(tmp_path, f"json://localhost:{server.port}")
    with server, notifying(tmp_path, settings) as rig:
        ids = rig.store(alert(), alert())
        server.wait_for(2)
        wait_until(lambda: rig.stats.sent == 2, "not counted")
    with notifying(tmp_path, settings) as rig:
        ids += rig.store(alert(), alert())
        wait_until(lambda: rig.stats.failed, "no attempt")
    with server, notifying(tmp_path, settings) as rig:
        server.wait_for(4)
        wait_until(lambda: rig.stats.waiting == 0, "not counted")
    assert [m["id"] for m in server.objects()] == ids


def test_a_new_target_gets_no_alarms_of_the_past(tmp_path: Path):
    with PushServer() as server:
        settings = target(tmp_path, f"json://localhost:{server.port}")
        with notifying(tmp_path, settings) as rig:
            rig.outbox.follow(())  # as if there were no targets
            rig.outbox.append([alert()])
        with notifying(tmp_path, settings) as rig:
            (new,) = rig.store(alert())
            assert [m["id"] for m in server.wait_for(1)] == [new]


def test_a_backlog_is_bounded_and_drops_are_reported(tmp_path: Path):
    server = PushServer()
    with notifying(tmp_path, target(tmp_path, f"json://localhost:{server.port}", keep=3)) as rig:
        ids = rig.store(*[alert() for _ in range(8)])
        notices = []
        wait_until(lambda: notices.extend(rig.notifier.cycle()) or notices, "the drop is not reported")
        assert (notices[0].event, notices[0].count, rig.stats.dropped) == ("notifications_dropped", 5, 5)
        with server:
            assert [m["id"] for m in server.wait_for(3)] == ids[-3:]


def test_rows_that_a_target_needs_outlive_their_acknowledgement_by_the_broker(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("asd_agent.outbox.schema.HISTORY_ROWS", 2)
    monkeypatch.setattr("asd_agent.notify.queue.MOVE_ROWS", 1)
    server = PushServer()
    with notifying(tmp_path, target(tmp_path, f"json://localhost:{server.port}")) as rig:
        ids = rig.store(*[alert() for _ in range(6)])
        while (row := rig.outbox.next()) is not None:
            rig.outbox.done(row)
        with server:
            assert [m["id"] for m in server.wait_for(6)] == ids
            wait_until(lambda: rig.stats.sent == 6, "not counted")
            rig.store(alert())
            wait_until(lambda: rig.stats.sent == 7, "not counted")
            rig.outbox.append([alert()])
            kept = len(rig.outbox.history(100))
    assert kept < 6


def test_alarms_arrive_while_the_disk_refuses_and_once_it_works_not_again(tmp_path: Path, monkeypatch):
    with PushServer() as server, notifying(tmp_path, target(tmp_path, f"json://localhost:{server.port}")) as rig:
        real = rig.outbox._write
        monkeypatch.setattr(rig.outbox, "_write", lambda _work: False)
        ids = rig.store(alert(), alert())
        assert [m["id"] for m in server.wait_for(2)] == ids
        monkeypatch.setattr(rig.outbox, "_write", real)
        rig.outbox.flush()
        ids += rig.store(alert())
        assert [m["id"] for m in server.wait_for(3)] == ids


def test_the_picture_follows_and_a_target_that_refuses_files_gets_the_text(tmp_path: Path):
    folder = tmp_path / "evidence" / "press" / "e1"
    folder.mkdir(parents=True)
    (folder / "picture.png").write_bytes(b"\x89PNG picture")
    evidence = {"evidence": {"path": "press/e1/clip.flac", "sha256": "ab", "bytes": 1}, "evidence_id": "e1"}
    with PushServer() as server:
        settings = target(tmp_path, f"json://localhost:{server.port}", attach=("picture", "clip"))
        with notifying(tmp_path, settings) as rig:
            rig.store(alert("evidence", **evidence))
            (message,) = server.wait_for(1)
            server.status = 413
            rig.store(alert("evidence", **evidence))
            wait_until(lambda: rig.stats.failed >= 3, "no attempts")
            server.status = 200
            second = server.wait_for(2)[1]
    assert [base64.b64decode(a["base64"]) for a in message["attachments"]] == [b"\x89PNG picture"]
    assert "The clip is no longer on the box" in message["message"]
    assert second["attachments"] == []


def test_a_url_that_nobody_understands_is_a_fault_without_the_url(tmp_path: Path):
    with notifying(tmp_path, target(tmp_path, "gopher-secret://token123456")) as rig:
        rig.store(alert())
        wait_until(lambda: rig.stats.fault, "no fault")
        assert "Apprise does not understand its URL" in rig.stats.fault
        assert "token123456" not in rig.stats.fault
