"""A real Mosquitto on a port of its own: plain, or TLS with a password and a CA made here; and a subscriber to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from typing_extensions import Self

from asd_agent.config.base import Secret
from asd_agent.config.model import MqttSettings, Tls
from asd_agent.demo.broker import free_port
from rigs.waiting import PATIENCE

USER, PASSWORD = "box", "open sesame"


def program(name: str) -> str:
    """Path of a program; a test that needs it fails without it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    assert found, f"{name} is missing: scripts/install-system-packages"
    return found


class Broker:
    """Mosquitto, started on entering.

    Args:
        folder: Private to it.
        tls: TLS, and a password for the one user there is.
        persistent: Keep what was retained and queued, from a clean stop to the next start.
        acl: Lines of an access list.
        extra: More lines of mosquitto.conf.
        log: What it logs, by Mosquitto's word.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: bool = False,
        persistent: bool = False,
        acl: str | None = None,
        extra: str = "",
        log: str = "all",
    ) -> None:
        self.folder, self.tls, self.port = folder, tls, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        lines = [f"listener {self.port} 127.0.0.1", "log_dest stderr", f"log_type {log}"]
        if os.geteuid() == 0:
            lines.append("user root")
        if persistent:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_interval 1"]
            lines += ["autosave_on_changes true"]
        if tls:
            make_ca(folder)
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            subprocess.run(
                [program("mosquitto_passwd"), "-b", passwords, USER, PASSWORD], check=True, capture_output=True
            )
            lines += [f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
            lines += ["allow_anonymous false", f"password_file {passwords}"]
            (folder / "password").write_text(PASSWORD + "\n")
        else:
            lines.append("allow_anonymous true")
        if acl is not None:
            (folder / "acl").write_text(acl)
            lines.append(f"acl_file {folder}/acl")
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join([*lines, extra, ""]))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, again on the same port, and wait until it listens."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([program("mosquitto"), "-c", self.config], stderr=log, stdout=log)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"the broker does not listen: {self.log()}")

    def stop(self) -> None:
        """Stop it by SIGTERM: it disconnects its clients and stores what it keeps."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=PATIENCE)
            self.process = None

    def log(self) -> str:
        """Lines that it logged."""
        return (self.folder / "log").read_text(errors="replace")

    def settings(self, **changes: Any) -> MqttSettings:
        """Settings of an agent that reconnects to it quickly."""
        fields: dict[str, Any] = {"host": "localhost", "port": self.port, "reconnect_seconds": (0.05, 0.2)}
        if self.tls:
            fields["tls"] = Tls(ca=self.folder / "ca.pem")
            fields |= {"username": USER, "password": Secret(file=self.folder / "password")}
        return MqttSettings(**{**fields, **changes})


def make_ca(folder: Path) -> None:
    """A certificate authority, and a certificate for `localhost` signed by it."""
    openssl = program("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test authority")
    run("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    run("x509", "-req", "-in", "server.csr", *signed, "-out", "server.pem")


class Listener:
    """A subscriber that remembers what it heard, in order; with a session that outlives its connection.

    Args:
        settings: The broker.
        topic_filter: What to hear.
        client_id: Its session's name.
        persistent: Whether the broker queues for it while it is away.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topic_filter: str = "asd/#",
        *,
        client_id: str = "listener",
        persistent: bool = False,
    ) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self.arrived: list[float] = []
        """Times of arrival, in seconds since 1970."""
        self._changed = threading.Condition()
        self._subscribed = False
        self._filter = topic_filter
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean_session=not persistent)
        self._client.reconnect_delay_set(0.05, 0.1)  # type: ignore[arg-type]
        if settings.username and settings.password:
            self._client.username_pw_set(settings.username, settings.password.read())
        if settings.tls:
            self._client.tls_set(str(settings.tls.ca))
        self._client.on_connect = lambda client, *_: client.subscribe(topic_filter, qos=1)
        self._client.on_subscribe = lambda *_: self._note(subscribed=True)
        self._client.on_disconnect = lambda *_: self._note(subscribed=False)
        self._client.on_message = lambda _client, _data, message: self._hear(message)
        self._address = (settings.host, settings.port)

    def __enter__(self) -> Self:
        self._client.connect_async(*self._address, keepalive=20)
        self._client.loop_start()
        self.wait_subscribed()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish a message, and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE)

    def wait_subscribed(self, timeout: float = PATIENCE) -> None:
        """Wait until the broker listens for us."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._subscribed, timeout), "the listener is not subscribed"

    def texts(self, topic: str) -> list[str]:
        """Payloads heard on a topic, in order."""
        with self._changed:
            return [m.payload.decode() for m in self.heard if m.topic == topic]

    def objects(self, topic: str) -> list[dict[str, Any]]:
        """The same as JSON."""
        return [json.loads(text) for text in self.texts(topic)]

    def wait_for(self, topic: str, count: int = 1, timeout: float = PATIENCE) -> list[str]:
        """Wait for so many messages on a topic; returns them."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.texts(topic)) >= count, timeout)
        texts = self.texts(topic)
        assert len(texts) >= count, f"{len(texts)} of {count} messages on {topic}: {texts}"
        return texts

    def wait_where(
        self, topic: str, fits: Callable[[dict[str, Any]], bool], timeout: float = PATIENCE, *, after: int = 0
    ) -> dict[str, Any]:
        """Wait for a message on a topic, beyond the first `after`, whose JSON fits; returns it."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: next((o for o in self.objects(topic)[after:] if fits(o)), None), timeout
            )
        assert found, f"none fits of {self.texts(topic)[after:]}"
        return found

    def wait_text(self, topic: str, text: str, timeout: float = PATIENCE) -> None:
        """Wait until the newest message on a topic is this text."""
        with self._changed:
            done = self._changed.wait_for(lambda: self.texts(topic)[-1:] == [text], timeout)
        assert done, f"{topic} says {self.texts(topic)[-3:]}, not {text!r}"

    def _note(self, *, subscribed: bool) -> None:
        with self._changed:
            self._subscribed = subscribed
            self._changed.notify_all()

    def _hear(self, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.heard.append(message)
            self.arrived.append(time.time())
            self._changed.notify_all()
