"""A real Mosquitto with real certificates, reached wrongly in every way."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asd_agent.config.finding import Finding
from asd_agent.demo.broker import free_port
from rigs.broker import Broker, Listener, make_ca, program
from rigs.symptoms.box import Box, Symptom

_DENY = "topic read $SYS/broker/version\n"


def _reach(box: Box, broker: Broker, **changes: Any) -> None:
    mqtt: dict[str, Any] = {"host": "localhost", "port": broker.port}
    if broker.tls:
        mqtt["tls"] = {"ca": str(broker.folder / "ca.pem")}
        mqtt |= {"username": "box", "password": {"file": str(broker.folder / "password")}}
    box.settings["mqtt"] = {k: v for k, v in (mqtt | changes).items() if v is not None}


@contextlib.contextmanager
def _broker(box: Box, *, expired: bool = False, **options: Any) -> Iterator[Broker]:
    broker = Broker(box.folder / "broker", **options)
    if expired:
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "-1", "-extfile", "names"]
        command = [program("openssl"), "x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem"]
        subprocess.run(command, cwd=broker.folder, check=True, capture_output=True)
    with broker:
        _reach(box, broker)
        yield broker


def _wrong_password(box: Box) -> list[Finding]:
    with _broker(box, tls=True) as broker:
        (broker.folder / "password").write_text("open barley\n")
        return box.doctor("broker")


def _no_login(box: Box) -> list[Finding]:
    with _broker(box, tls=True) as broker:
        _reach(box, broker, username=None, password=None)
        return box.doctor("broker")


def _wrong_ca(box: Box) -> list[Finding]:
    other = box.folder / "other"
    other.mkdir()
    make_ca(other)
    with _broker(box, tls=True) as broker:
        _reach(box, broker, tls={"ca": str(other / "ca.pem")})
        return box.doctor("broker")


def _expired(box: Box) -> list[Finding]:
    with _broker(box, tls=True, expired=True):
        return box.doctor("broker")


def _other_name(box: Box) -> list[Finding]:
    with _broker(box, tls=True) as broker:
        _reach(box, broker, host="127.0.0.1")
        return box.doctor("broker")


def _no_such_host(box: Box) -> list[Finding]:
    box.settings["mqtt"] = {"host": "no-such-host.invalid"}
    return box.doctor("broker")


def _port_closed(box: Box) -> list[Finding]:
    box.settings["mqtt"]["port"] = free_port()
    return box.doctor("broker")


def _plain_to_tls(box: Box) -> list[Finding]:
    with _broker(box, tls=True) as broker:
        _reach(box, broker, tls=None)
        return box.doctor("broker")


def _tls_to_plain(box: Box) -> list[Finding]:
    with _broker(box) as broker:
        _reach(box, broker, tls={})
        return box.doctor("broker")


def _mute(box: Box) -> list[Finding]:
    box.patch.setattr("asd_agent.doctor.broker.STEP_SECONDS", 0.5)
    box.patch.setattr("asd_agent.mqtt.connection.CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        box.settings["mqtt"]["port"] = mute.getsockname()[1]
        return box.doctor("broker")


def _denied(box: Box) -> list[Finding]:
    with _broker(box, acl=_DENY):
        return box.doctor("broker")


def _dropped(box: Box) -> list[Finding]:
    with _broker(box, acl="topic read asd/#\n") as broker:
        _reach(box, broker, protocol="3.1.1")
        return box.doctor("broker")


def _same_name(box: Box) -> list[Finding]:
    with _broker(box) as broker, Listener(broker.settings(), client_id="asd-box") as twin:
        twin.publish("asd/box/status", "online", retain=True)
        return box.doctor("broker")


def _ca(box: Box, days: int) -> Path:
    folder = box.folder / "authority"
    folder.mkdir()
    make_ca(folder)
    if days != 2:
        signed = ["-signkey", "ca.key", "-days", str(days), "-in", "ca.pem", "-out", "old.pem"]
        subprocess.run([program("openssl"), "x509", *signed], cwd=folder, check=True, capture_output=True)
        shutil.move(folder / "old.pem", folder / "ca.pem")
    return folder


def _ca_missing(box: Box) -> list[Finding]:
    box.settings["mqtt"]["tls"] = {"ca": str(box.folder / "nowhere.pem")}
    return box.check()


def _ca_expired(box: Box) -> list[Finding]:
    box.settings["mqtt"]["tls"] = {"ca": str(_ca(box, -1) / "ca.pem")}
    return box.check()


def _ca_expires(box: Box) -> list[Finding]:
    box.settings["mqtt"]["tls"] = {"ca": str(_ca(box, 2) / "ca.pem")}
    return box.check()


def _wrong_key(box: Box) -> list[Finding]:
    folder = _ca(box, 2)
    box.settings["mqtt"]["tls"] = {"certificate": str(folder / "server.pem"), "key": str(folder / "ca.key")}
    return box.check()


SYMPTOMS = {
    "wrong password": Symptom(_wrong_password, "mqtt.username", "refused the connection", "the password's file"),
    "login missing": Symptom(_no_login, "mqtt", "refused the connection", "mqtt.username"),
    "wrong CA": Symptom(_wrong_ca, "mqtt.tls", "certificate is not trusted", "mqtt.tls.ca must hold the authority"),
    "broker's certificate expired": Symptom(_expired, "mqtt.tls", "certificate has expired", "Renew the broker's"),
    "certificate for another name": Symptom(
        _other_name, "mqtt.tls", "not valid for '127.0.0.1'", "must be a name in the certificate"
    ),
    "broker's name not found": Symptom(_no_such_host, "mqtt.host", "no such host", "Check mqtt.host"),
    "port closed": Symptom(_port_closed, "mqtt.port", "nothing listens there", "Is the broker running"),
    "plain MQTT to a TLS port": Symptom(_plain_to_tls, "mqtt.tls", "answers with TLS on this port", "Write `tls:"),
    "TLS to a plain port": Symptom(_tls_to_plain, "mqtt.tls", "it closed the connection", "Does this port use TLS"),
    "broker does not answer": Symptom(_mute, "mqtt", "no answer", "firewalls"),
    "not authorised to publish": Symptom(_denied, "broker publish", "not authorised to publish", "access list allow"),
    "messages dropped in silence": Symptom(_dropped, "broker publish", "did not come back", "access list", "warning"),
    "another agent with the same name": Symptom(_same_name, "agent.name", "connected already", "a name of its own"),
    "CA file missing": Symptom(_ca_missing, "mqtt.tls.ca", "cannot be read: No such file", "Name a PEM file"),
    "CA expired": Symptom(_ca_expired, "mqtt.tls.ca", "expired at", "Get a new certificate"),
    "certificate expires soon": Symptom(_ca_expires, "mqtt.tls.ca", "expires at", "Get a new certificate", "warning"),
    "certificate and key do not match": Symptom(
        _wrong_key, "mqtt.tls.certificate", "do not fit together", "Name a PEM file"
    ),
}
