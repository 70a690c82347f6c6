"""What is wrong between agent and broker, in words with a remedy, said once when it begins and once when it ends."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from dataclasses import dataclass

from asd_agent.config.model import MqttSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Attributes:
        what: In one line.
        remedy: What would be right.
    """

    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


class Faults:
    """The faults that stand, by part; each is logged when it begins, changes or ends, and never in between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing: dict[str, str] = {}

    def set(self, part: str, fault: Fault) -> None:
        """A fault stands."""
        text = str(fault)
        with self._lock:
            known, self._standing[part] = self._standing.get(part), text
        if known != text:
            log.warning("%s", text)

    def clear(self, part: str, said: str) -> None:
        """It is over; `said` tells so, if it stood."""
        with self._lock:
            known = self._standing.pop(part, None)
        if known is not None:
            log.info("%s", said)

    def texts(self) -> dict[str, str]:
        """What stands, by part."""
        with self._lock:
            return dict(self._standing)


def connect_fault(error: Exception, settings: MqttSettings) -> Fault:
    """Why no connection came about."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "mqtt.tls.ca must hold the authority that signed it, and mqtt.host the name that stands in it"
        return Fault(f"{place}: its certificate is not trusted ({error.verify_message})", remedy)
    if isinstance(error, ssl.SSLEOFError):
        return Fault(f"{place}: it hung up during the TLS handshake", "Does this port speak TLS (usually 8883)?")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return Fault(f"{place}: TLS failed ({reason})", "Does this port speak TLS (usually 8883)?")
    if isinstance(error, socket.gaierror):
        return Fault(f"MQTT broker {settings.host}: no such host", "Check mqtt.host and the name server")
    if isinstance(error, ConnectionRefusedError):
        return Fault(f"{place}: nothing listens there", "Is the broker running, and mqtt.port right?")
    if isinstance(error, TimeoutError):
        return Fault(f"{place}: no answer", "Check the network, firewalls, and whether the port speaks TLS")
    if isinstance(error, ConnectionError | EOFError):
        wrong = "speak TLS (usually 8883)" if settings.tls else "want TLS (mqtt.tls)"
        remedy = f"Does this port {wrong}?"
        return Fault(f"{place}: it hung up before it answered", remedy)
    return Fault(f"{place}: {getattr(error, 'strerror', None) or error}")


_REASONS = {
    "Bad user name or password": "Check mqtt.username and the password's file",
    "Not authorized": "Check mqtt.username, the password's file and the broker's access list",
    "Unsupported protocol version": "Set mqtt.protocol to '3.1.1'",
    "Client identifier not valid": "Let the broker accept the client id asd-<agent.name>",
    "Banned": "Let the broker accept this client",
}


def refused_fault(reason: str, settings: MqttSettings) -> Fault:
    """Why a broker refused the connection; `reason` is MQTT's name of its reason code."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    return Fault(f"{place} refused the connection: {reason.lower()}", _REASONS.get(reason, ""))


def lost_fault(reason: str, settings: MqttSettings) -> Fault:
    """Why a connection ended; `reason` is MQTT's name of its reason code, empty when there was none."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    if reason == "Session taken over":
        return Fault(f"{place}: another client connects under this agent's name", "agent.name must be unique")
    return Fault(f"{place}: the connection was lost{f' ({reason.lower()})' if reason else ''}", "Alerts are kept")


def flapping_fault(settings: MqttSettings) -> Fault:
    """Connections come about and break at once, again and again."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    remedy = "Does another client use the same agent.name, or is there a message that it cannot take?"
    return Fault(f"{place}: connections break soon after they are accepted", remedy)
