"""Faults between the agent and its broker, in words with a remedy, logged when they begin and when they end."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from dataclasses import dataclass

from asd_agent.config.model import MqttSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BrokerFault:
    """A fault between the agent and its broker.

    Attributes:
        what: The fault, in one line.
        remedy: What to do.
    """

    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


class Faults:
    """Present faults, by part; each is logged when it begins, changes or ends, and never in between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._present: dict[str, str] = {}

    def set(self, part: str, fault: BrokerFault) -> None:
        """Set the fault of a part."""
        text = str(fault)
        with self._lock:
            known, self._present[part] = self._present.get(part), text
        if known != text:
            log.warning("%s", text)

    def clear(self, part: str, message: str) -> None:
        """Remove the fault of a part; log the message if there was one."""
        with self._lock:
            known = self._present.pop(part, None)
        if known is not None:
            log.info("%s", message)

    def texts(self) -> dict[str, str]:
        """Return the present faults in words, by part."""
        with self._lock:
            return dict(self._present)


def connect_fault(error: Exception, settings: MqttSettings) -> BrokerFault:
    """Return the fault for an error while connecting."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "mqtt.tls.ca must hold the authority that signed it, and mqtt.host must be a name in the certificate"
        return BrokerFault(f"{place}: its certificate is not trusted ({error.verify_message})", remedy)
    if isinstance(error, ssl.SSLEOFError):
        return BrokerFault(
            f"{place}: it closed the connection during the TLS handshake", "Does this port use TLS (usually 8883)?"
        )
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        return BrokerFault(f"{place}: TLS failed ({reason})", "Does this port use TLS (usually 8883)?")
    if isinstance(error, socket.gaierror):
        return BrokerFault(f"MQTT broker {settings.host}: no such host", "Check mqtt.host and the name server")
    if isinstance(error, ConnectionRefusedError):
        return BrokerFault(f"{place}: nothing listens there", "Is the broker running, and mqtt.port right?")
    if isinstance(error, TimeoutError):
        return BrokerFault(f"{place}: no answer", "Check the network, firewalls, and whether the port uses TLS")
    if isinstance(error, ConnectionError | EOFError):
        wrong = "use TLS (usually 8883)" if settings.tls else "want TLS (mqtt.tls)"
        remedy = f"Does this port {wrong}?"
        return BrokerFault(f"{place}: it closed the connection before it answered", remedy)
    return BrokerFault(f"{place}: {getattr(error, 'strerror', None) or error}")


_REASONS = {
    "Bad user name or password": "Check mqtt.username and the password's file",
    "Not authorized": "Check mqtt.username, the password's file and the broker's access list",
    "Unsupported protocol version": "Set mqtt.protocol to '3.1.1'",
    "Client identifier not valid": "Let the broker accept the client id asd-<agent.name>",
    "Banned": "Let the broker accept this client",
}


def refused_fault(reason: str, settings: MqttSettings) -> BrokerFault:
    """Return the fault for a refused connection; `reason` is MQTT's name of the reason code."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    return BrokerFault(f"{place} refused the connection: {reason.lower()}", _REASONS.get(reason, ""))


def lost_fault(reason: str, settings: MqttSettings) -> BrokerFault:
    """Return the fault for a lost connection; `reason` is MQTT's name of the reason code, or empty."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    if reason == "Session taken over":
        return BrokerFault(f"{place}: another client connects under this agent's name", "agent.name must be unique")
    return BrokerFault(f"{place}: the connection was lost{f' ({reason.lower()})' if reason else ''}", "Alerts are kept")


def flapping_fault(settings: MqttSettings) -> BrokerFault:
    """Return the fault for connections that are accepted and break at once, again and again."""
    place = f"MQTT broker {settings.host}:{settings.port}"
    remedy = "Does another client use the same agent.name, or is a message larger than the broker allows?"
    return BrokerFault(f"{place}: connections break soon after they are accepted", remedy)
