"""Home Assistant's device-based MQTT discovery: one device for the agent and one for each monitor.

Keys and rules are those of Home Assistant's MQTT integration: `<prefix>/device/<id>/config` with `device`, `origin`
and `components`. Each source and monitor has a state topic of its own, so that none resets another.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent import __version__
from asd_agent.alarm import EVENTS
from asd_agent.mqtt.payloads import MonitorState, SourceState
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics

Component = dict[str, Any]
QUIET_HOPS = 6
"""A score older than so many hops is shown as unknown: a few windows may be late, a stopped monitor may not."""
DELIVERING = ("healthy", "silent")
"""States of a source in which its windows can be judged."""
SLOW_ATTRIBUTES = (
    "{{ {'alarm_id': value_json.alarm_id, 'raised_at': value_json.raised_at, 'evidence_id': value_json.evidence_id,"
    " 'shelved_until': value_json.shelved_until, 'bundle': value_json.bundle, 'provisional': value_json.provisional}"
    " | tojson }}"
)
BUNDLE_VERSIONS = (
    "{% set bundle = ((value_json.inventory or {}).bundles or {}).get('MONITOR') %}"
    "{% if bundle %}{% set used = bundle.name ~ ' ' ~ bundle.digest[:12] %}"
    "{{ {'installed_version': used, 'title': bundle.name, 'in_progress': bundle.trial,"
    " 'latest_version': bundle.name ~ ' ' ~ bundle.returned if bundle.returned else used,"
    " 'release_summary': bundle.reason} | tojson }}{% endif %}"
)
"""Versions of a bundle: its name with the first digits of its digest. A bundle that a command installed and that was
not proved remains the latest one, with the reason, until another is proved. The name before the digits keeps Home
Assistant from comparing them as numbers."""
ON_ALARM = "{{ 'ON' if value_json.state in ['active', 'acknowledged'] else 'OFF' }}"


@dataclass(frozen=True)
class MonitorDevice:
    """Description of a monitor for Home Assistant.

    Attributes:
        machine: Machine type.
        section: Its two digits.
        source: Name of its source.
        hop_seconds: Seconds from one window to the next.
    """

    machine: str
    section: str
    source: str
    hop_seconds: float


@dataclass(frozen=True)
class DiscoveryOptions:
    """Parts of the discovery that depend on the configuration.

    Attributes:
        commands: Verbs that get a button.
        removed_sources: Sources that were announced before and are no longer there.
        public_url: URL of the page, which the devices then link to.
        pictures: Evidence pictures are published.
        updates: The command `install_bundle` is allowed.
    """

    commands: Collection[str] = ()
    removed_sources: Collection[str] = ()
    public_url: str | None = None
    pictures: bool = False
    updates: bool = False


def announce(
    publisher: Publisher, prefix: str, monitors: Mapping[str, MonitorDevice], options: DiscoveryOptions
) -> frozenset[str]:
    """Publish discovery, now and whenever Home Assistant starts; return the topics that are retained for it."""
    messages = discovery(publisher.topics, prefix, monitors, options)
    for topic, payload in messages.items():
        publisher.publish_state(topic, payload)
    publisher.republish_on(f"{prefix}/status", b"online")  # its birth message
    return frozenset(messages)


def discovery(
    topics: Topics, prefix: str, monitors: Mapping[str, MonitorDevice], options: DiscoveryOptions
) -> dict[str, str]:
    """Return the retained discovery messages: JSON by topic.

    Args:
        topics: Topics of this agent.
        prefix: Home Assistant's discovery prefix, usually `homeassistant`.
        monitors: Monitors by name.
        options: Parts that depend on the configuration.
    """
    public_url = options.public_url
    agent_id = f"asd_{topics.agent}"
    sources = sorted({monitor.source for monitor in monitors.values()})
    agent = _device(topics.agent, agent_id, "asd-agent", page=public_url)
    gone = {f"source_{name}": {"platform": "sensor"} for name in options.removed_sources if name not in sources}
    messages = {agent_id: {**agent, "components": {**_agent_components(topics, agent_id, sources), **gone}}}
    for name, monitor in monitors.items():
        device_id = f"{agent_id}_{name}"
        page = f"{public_url}/machines/{name}" if public_url else None
        device = _device(name, device_id, f"{monitor.machine} section {monitor.section}", via=agent_id, page=page)
        messages[device_id] = {**device, "components": _monitor_components(topics, device_id, name, monitor, options)}
    return {
        f"{prefix}/device/{device_id}/config": json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        for device_id, message in messages.items()
    }


def _device(name: str, device_id: str, model: str, via: str | None = None, page: str | None = None) -> Component:
    device = {"identifiers": [device_id], "name": name, "model": model, "sw_version": __version__}
    if via is not None:
        device["via_device"] = via
    if page is not None:
        device["configuration_url"] = page
    return {"device": device, "origin": {"name": "asd-agent", "sw_version": __version__}, "qos": 1}


def _agent_components(topics: Topics, device_id: str, sources: list[str]) -> dict[str, Component]:
    health = _sensor(topics, topics.health, "sensor", diagnostic=True)
    components: dict[str, Component] = {
        # Without availability: it is needed most when the agent is away.
        "status": {
            "platform": "binary_sensor",
            "name": "Agent",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.status,
            "payload_on": "online",
            "payload_off": "offline",
        },
        "waiting": {
            **health,
            "name": "Alerts waiting",
            "state_class": "measurement",
            "value_template": "{{ value_json.outbox.depth }}",
        },
        "temperature": {
            **health,
            "name": "Temperature",
            "device_class": "temperature",
            "state_class": "measurement",
            "unit_of_measurement": "°C",
            "value_template": "{{ value_json.temperature_celsius }}",
        },
    }
    for source in sources:
        components[f"source_{source}"] = {
            **_sensor(topics, topics.source_state(source), "sensor", diagnostic=True),
            "name": f"Source {source}",
            "device_class": "enum",
            "options": _values(SourceState, "state"),
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topics.source_state(source),
        }
    return _with_unique_ids(components, device_id)


def _monitor_components(
    topics: Topics, device_id: str, name: str, monitor: MonitorDevice, options: DiscoveryOptions
) -> dict[str, Component]:
    state = topics.monitor_state(name)
    judged = {"platform": "sensor", "state_topic": state, **_while_delivering(topics, monitor.source)}
    components: dict[str, Component] = {
        "anomaly": {
            "platform": "binary_sensor",
            "state_topic": state,
            **_while_judging(topics, state),
            "name": "Anomaly",
            "device_class": "problem",
            "value_template": ON_ALARM,
            "json_attributes_topic": state,
            # Few and slow: each change of an attribute is a row in the recorder of Home Assistant.
            "json_attributes_template": SLOW_ATTRIBUTES,
        },
        "state": {
            **_sensor(topics, state, "sensor"),
            "name": "Alarm state",
            "device_class": "enum",
            "options": _values(MonitorState, "state"),
            "value_template": "{{ value_json.state }}",
        },
        "severity": {
            **judged,
            "name": "Severity",
            "state_class": "measurement",
            "value_template": "{{ value_json.severity }}",
        },
        "threshold": {
            **judged,
            "name": "Threshold",
            "entity_category": "diagnostic",
            "suggested_display_precision": 2,
            "value_template": "{{ value_json.threshold }}",
        },
        "last_alarm": {
            **_sensor(topics, state, "sensor"),
            "name": "Last alarm",
            "device_class": "timestamp",
            "value_template": "{{ value_json.last_raised_at }}",
        },
        "score": {
            **judged,
            "state_topic": topics.score(name),
            "name": "Score",
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "expire_after": max(60, round(QUIET_HOPS * monitor.hop_seconds)),
            "value_template": "{{ value_json.score }}",
        },
        "alert": {
            **_sensor(topics, topics.alert(name), "event"),
            "name": "Alert",
            "event_types": list(EVENTS),
            "value_template": "{{ dict(value_json, event_type=value_json.event) | tojson }}",
        },
    }
    if options.pictures:
        # Without availability: the last picture means something also while the agent is away. The topic has the picture
        # itself, since the page, to which a URL would lead, asks for a login.
        components["picture"] = {
            "platform": "image",
            "name": "Evidence",
            "image_topic": topics.picture(name),
            "image_encoding": "b64",
            "content_type": "image/png",
        }
    if options.updates:
        components["bundle"] = {
            **_sensor(topics, topics.health, "update", diagnostic=True),
            "name": "Bundle",
            "value_template": BUNDLE_VERSIONS.replace("MONITOR", name),
        }
    commands = options.commands
    buttons = {
        "acknowledge": _button(topics, "acknowledge", "Acknowledge", name),
        "shelve": _button(topics, "shelve", "Shelve for an hour", name, minutes=60),
        "unshelve": _button(topics, "unshelve", "Unshelve", name),
    }
    components |= {verb: button for verb, button in buttons.items() if verb in commands}
    # Home Assistant keeps a component that a new payload does not mention; one with a platform alone is removed.
    removed = {verb: {"platform": "button"} for verb in buttons if verb not in commands}
    removed |= {} if options.pictures else {"picture": {"platform": "image"}}
    removed |= {} if options.updates else {"bundle": {"platform": "update"}}
    return _with_unique_ids(components, device_id) | removed


def _sensor(topics: Topics, topic: str, platform: str, *, diagnostic: bool = False) -> Component:
    category = {"entity_category": "diagnostic"} if diagnostic else {}
    return {"platform": platform, "state_topic": topic, "availability_topic": topics.status, **category}


def _while_delivering(topics: Topics, source: str) -> Component:
    """Return the availability of a judged value: the agent and the source deliver; an older value means nothing."""
    delivers = f"{{{{ 'online' if value_json.state in {list(DELIVERING)} else 'offline' }}}}"
    return {
        "availability_mode": "all",
        "availability": [
            {"topic": topics.status},
            {"topic": topics.source_state(source), "value_template": delivers},
        ],
    }


def _while_judging(topics: Topics, state: str) -> Component:
    """Return the availability of a problem: a monitor that cannot judge has no `no problem`; a standing alarm stays."""
    cannot = "value_json.alarm == 'normal' and (value_json.stale or value_json.out_of_service)"
    judges = f"{{{{ 'offline' if {cannot} else 'online' }}}}"
    return {
        "availability_mode": "all",
        "availability": [{"topic": topics.status}, {"topic": state, "value_template": judges}],
    }


def _button(topics: Topics, verb: str, title: str, monitor: str, **args: object) -> Component:
    command = {"schema": "asd.command/1", "monitor": monitor, "by": "Home Assistant", **args}
    made = "id='ha-' ~ now().timestamp(), expires=(utcnow() + timedelta(minutes=1)).isoformat()"
    return {
        "platform": "button",
        "name": title,
        "command_topic": topics.command(verb),
        "command_template": f"{{{{ dict({json.dumps(command)}, {made}) | tojson }}}}",
        "availability_topic": topics.status,
    }


def _with_unique_ids(components: dict[str, Component], device_id: str) -> dict[str, Component]:
    return {key: {**component, "unique_id": f"{device_id}_{key}"} for key, component in components.items()}


def _values(model: type[MonitorState | SourceState], field: str) -> list[str]:
    """Return the values that a field may have."""
    return list(model.model_fields[field].annotation.__args__)  # type: ignore[union-attr]
