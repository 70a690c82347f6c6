"""Check of the broker, step by step: name, TCP, TLS, login, publish and read back. The first failing step is named.

Its own client id keeps it from ending the running service's connection; its topic is below the agent's own.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from asd_agent.clock import iso_utc
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.config.model import MqttSettings
from asd_agent.config.preflight.certificates import validity
from asd_agent.config.preflight.files import SOON_SECONDS
from asd_agent.mqtt.connection import Connection, NotConnectedError, tls_context
from asd_agent.mqtt.faults import connect_fault
from asd_agent.mqtt.payloads import ONLINE
from asd_agent.mqtt.topics import Topics

STEP_SECONDS = 8.0
"""A name server that is down answers after 5 s at the earliest (resolv.conf(5): timeout)."""
QUIET_SECONDS = 2.0
"""Within this a broker has sent its retained messages, or refused a subscription."""


def check_broker(settings: MqttSettings, agent: str, *, running: bool) -> list[Finding]:
    """Take the steps in turn, up to the first that fails.

    Args:
        settings: The broker.
        agent: The agent's name.
        running: This box's own service is connected, so that `online` is expected.
    """
    found: list[Finding] = []
    for step in (_name, _tcp, _tls):
        finding = step(settings)
        if finding is not None:
            found.append(finding)
            if finding.level == "problem":
                return found
    return found + list(_login(settings, agent, running=running))


def _name(settings: MqttSettings) -> Finding:
    try:
        places = _within(lambda: socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM))
    except OSError as error:
        return _fault("mqtt.host", error, settings)
    return ok("broker name", f"{settings.host} is {', '.join(sorted({str(p[4][0]) for p in places}))}")


def _tcp(settings: MqttSettings) -> Finding:
    try:
        socket.create_connection((settings.host, settings.port), STEP_SECONDS).close()
    except OSError as error:
        return _fault("mqtt.port", error, settings)
    return ok("broker TCP", f"something listens on port {settings.port}")


def _tls(settings: MqttSettings) -> Finding | None:
    if settings.tls is None:
        if answers_tls(settings):
            text = (
                f"MQTT broker {settings.host}:{settings.port} answers with TLS on this port, and there is no 'mqtt.tls'"
            )
            return problem("mqtt.tls", text, "Write `tls: {ca: /etc/asd-agent/ca.pem}`, or use the plain port (1883)")
        return None
    try:
        context = tls_context(settings.tls)
        with _shaken(settings, context) as shaken:
            der, version = shaken.getpeercert(binary_form=True), shaken.version()
    except OSError as error:
        expired = isinstance(error, ssl.SSLCertVerificationError) and "expired" in error.verify_message
        finding = _fault("mqtt.tls", error, settings)
        if expired:
            remedy = "Renew the broker's certificate; if it is new, set this box's clock (`timedatectl`)"
            return problem("mqtt.tls", finding.what, remedy)
        return finding
    ends = validity(der).ends if der else 0.0
    text = f"{version}, its certificate is trusted and ends {iso_utc(ends)}"
    if ends - time.time() < SOON_SECONDS:
        return warning("broker TLS", text, "Renew the broker's certificate soon; then no agent connects any more")
    return ok("broker TLS", text)


def answers_tls(settings: MqttSettings) -> bool:
    """Return true where a port answers a TLS handshake, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _shaken(settings, context):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _shaken(settings: MqttSettings, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection((settings.host, settings.port), STEP_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=settings.host) as shaken,
    ):
        yield shaken


def _login(settings: MqttSettings, agent: str, *, running: bool) -> Iterator[Finding]:
    topics = Topics(agent)
    topic = f"{topics.base}/doctor/{uuid.uuid4().hex[:8]}"
    try:
        connection = Connection(settings, f"asd-{agent}-doctor", (topic, ""))
    except NotConnectedError as error:
        where = "mqtt.username" if settings.username is not None else "mqtt"
        yield problem(where, error.fault.what, error.fault.remedy or "See the broker's log")
        return
    who = settings.username if settings.username is not None else "an anonymous client"
    yield ok("broker login", f"accepted as {who}, MQTT {settings.protocol}")
    try:
        yield _name_taken(connection, topics, running=running)
        yield _publish(connection, topic, agent)
    finally:
        connection.close()


def _name_taken(connection: Connection, topics: Topics, *, running: bool) -> Finding:
    connection.subscribe(topics.status)
    status = _wait(connection, lambda: next((m for m in connection.received if m.topic == topics.status), None))
    if connection.refused_subscriptions:
        return ok(
            "agent.name",
            "it is not known whether another agent has this name: the access list lets this one read nothing",
        )
    online = status is not None and status.payload.decode("utf-8", "replace") == ONLINE
    if online and not running:
        text = f"an agent named {topics.agent!r} is connected already, and no service runs here"
        return problem("agent.name", text, "Give every agent a name of its own: each would end the other's connection")
    return ok("agent.name", "is this box's alone" if not online else "is online, as this box's service is")


def _publish(connection: Connection, topic: str, agent: str) -> Finding:
    connection.subscribe(topic)
    _wait(connection, lambda: connection.refused_subscriptions or None, QUIET_SECONDS / 4)
    mid = connection.publish(topic, "doctor", qos=1, retain=False)
    ack = _wait(connection, lambda: next((a for a in connection.acks if a.mid == mid), None), STEP_SECONDS)
    remedy = f"Let the broker's access list allow {agent!r} to write asd/{agent}/# (docs/examples/mosquitto.acl)"
    if ack is None:
        reason = str(connection.fault) if connection.fault else "it did not answer"
        return problem("broker publish", f"a message to {topic} was not acknowledged: {reason}", remedy)
    if ack.refused is not None:
        return problem("broker publish", f"not authorised to publish to {topic} ({ack.refused.lower()})", remedy)
    readable = topic not in connection.refused_subscriptions
    back = (
        _wait(connection, lambda: next((m for m in connection.received if m.topic == topic), None)) if readable else 0
    )
    if back is None:
        text = (
            f"a message to {topic} was acknowledged and did not come back; the access list may drop it without a report"
        )
        return warning("broker publish", text, remedy)
    if not readable:
        return ok("broker publish", "accepts messages; it lets this agent read none, which is enough")
    return ok("broker publish", "accepts messages and delivers them")


def _wait(connection: Connection, seen: Callable[[], Any], seconds: float = QUIET_SECONDS) -> Any:
    """Run the connection until something is seen; None when it is not in time."""
    until = time.monotonic() + seconds
    while (found := seen()) is None and connection.open and (left := until - time.monotonic()) > 0:
        connection.exchange(min(left, 0.2))
    return found


def _fault(where: str, error: Exception, settings: MqttSettings) -> Finding:
    fault = connect_fault(error, settings)
    return problem(where, fault.what, fault.remedy or "See the broker's log")


def _within(ask: Callable[[], Any]) -> Any:
    """An answer that may never come: the resolver has no time-out of its own.

    Raises:
        TimeoutError: It did not come.
        OSError: What the resolver raised.
    """
    answers: queue.Queue[Any] = queue.Queue(1)

    def run() -> None:
        try:
            answers.put(ask())
        except OSError as error:
            answers.put(error)

    threading.Thread(target=run, name="resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=STEP_SECONDS)
    except queue.Empty as error:
        raise TimeoutError from error
    if isinstance(answer, OSError):
        raise answer
    return answer
