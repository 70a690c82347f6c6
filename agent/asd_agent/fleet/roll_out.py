"""Roll-out of a bundle: one box after the other, the first ones as a trial, and a stop at the first failure."""

from __future__ import annotations

import fnmatch
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from asd_agent.clock import iso_utc
from asd_agent.errors import AsdError
from asd_agent.fleet.client import FleetClient
from asd_agent.fleet.view import FILTERS, FleetView

Outcome = Literal["done", "failed", "untouched"]
LAST_STAGES = {"refused", "proved", "returned"}
EXPIRES_SECONDS = 300.0
"""Time in which a box must receive the command; it does not limit the installation."""
RESULT_FILTER = "asd/+/command/result"


class RollOutError(AsdError):
    """A roll-out cannot begin."""


@dataclass(frozen=True)
class RollOutPlan:
    """A bundle and the boxes that get it.

    Attributes:
        url: Place of the bundle.
        sha256: Its digest.
        name: Name by which monitors refer to it; None for its own.
        to: Patterns of agents' names, as `hall-3-*`.
        canary: Number of boxes that are watched for `watch_seconds` before the others follow.
        watch_seconds: Time for which the first boxes must stay without a new fault or alarm.
        timeout_seconds: Time that one box may take.
        by: Name of the person.
    """

    url: str
    sha256: str
    name: str | None
    to: Sequence[str]
    canary: int
    watch_seconds: float
    timeout_seconds: float
    by: str


@dataclass
class BoxResult:
    """Result of one box: outcome, the stages that it reported, and the last text."""

    agent: str
    outcome: Outcome = "untouched"
    stages: list[str] = field(default_factory=list)
    text: str = ""


class RollOut:
    """Carries out a plan through a broker.

    Args:
        plan: The plan.
        report: Called with a line for a person.
    """

    def __init__(self, plan: RollOutPlan, report: Callable[[str], None]) -> None:
        self._plan, self._report = plan, report
        self.view = FleetView()
        self._answers: dict[str, list[dict[str, Any]]] = {}

    @property
    def filters(self) -> tuple[str, ...]:
        """Topics that it needs."""
        return (*FILTERS, RESULT_FILTER)

    def receive(self, topic: str, payload: bytes) -> None:
        """Take one message."""
        if not topic.endswith("/command/result"):
            self.view.take(topic, payload)
            return
        try:
            document = json.loads(payload)
        except ValueError:
            return
        if isinstance(document, dict) and document.get("verb") == "install_bundle":
            self._answers.setdefault(f"{topic.split('/')[1]} {document.get('id')}", []).append(document)

    def run(self, client: FleetClient) -> list[BoxResult]:
        """Go through all boxes; return one result for each, those after a failure untouched.

        Raises:
            RollOutError: No box fits, or one of them cannot take part.
        """
        results = [BoxResult(name) for name in self._chosen(client)]
        for number, result in enumerate(results, 1):
            before = self._troubles(result.agent)
            self._report(f"{result.agent}: {number} of {len(results)}")
            self._install(client, result)
            if result.outcome == "done" and number <= self._plan.canary:
                self._watch(client, result, before)
            self._report(f"{result.agent}: {result.outcome}: {result.text}")
            if result.outcome != "done":
                break
        return results

    def _chosen(self, client: FleetClient) -> list[str]:
        with client.changed:
            agents = dict(self.view.agents)
        names = sorted(n for n in agents if any(fnmatch.fnmatchcase(n, pattern) for pattern in self._plan.to))
        if not names:
            raise RollOutError(f"no agent fits {', '.join(self._plan.to)}", "`asd-agent fleet` lists their names.")
        now = time.time()
        unfit = {n: agents[n].state(now) for n in names if agents[n].state(now) != "online"}
        off = [n for n in names if not agents[n].row(now)["installs_bundles"]]
        if unfit:
            name, state = next(iter(unfit.items()))
            raise RollOutError(f"{len(unfit)} boxes are not online; {name} is {state}", "Nothing was sent.")
        if off:
            remedy = "Allow it there by 'install_bundle' in agent.yaml. Nothing was sent."
            raise RollOutError(f"{', '.join(off[:5])}: the command install_bundle is off", remedy)
        return names

    def _install(self, client: FleetClient, result: BoxResult) -> None:
        plan, id_ = self._plan, f"roll-out-{uuid.uuid4().hex[:16]}"
        command = {
            "schema": "asd.install-bundle/1",
            "id": id_,
            "url": plan.url,
            "sha256": plan.sha256,
            "expires": iso_utc(time.time() + EXPIRES_SECONDS),
            "by": plan.by,
            **({"name": plan.name} if plan.name else {}),
        }
        key = f"{result.agent} {id_}"
        client.publish(f"asd/{result.agent}/command/install_bundle", json.dumps(command))
        with client.changed:
            client.changed.wait_for(
                lambda: any(a.get("stage") in LAST_STAGES for a in self._answers.get(key, [])), plan.timeout_seconds
            )
            answers = list(self._answers.get(key, []))
        result.stages = [str(a.get("stage")) for a in answers]
        last = next((a for a in answers if a.get("stage") in LAST_STAGES), None)
        result.outcome = "done" if last is not None and last.get("stage") == "proved" else "failed"
        result.text = str((last or {}).get("text") or f"no result within {plan.timeout_seconds:.0f} s")

    def _watch(self, client: FleetClient, result: BoxResult, before: set[str]) -> None:
        """Let a box fail that reports a new alarm or fault while it is watched."""
        with client.changed:
            client.changed.wait_for(lambda: self._troubles(result.agent) - before, self._plan.watch_seconds)
            new = self._troubles(result.agent) - before
        if new:
            result.outcome, result.text = "failed", f"after the installation: {', '.join(sorted(new))}"

    def _troubles(self, name: str) -> set[str]:
        agent = self.view.agents.get(name)
        if agent is None:
            return {"gone"}
        states = {f"monitor {n} is {m.get('state')}" for n, m in agent.monitors.items()}
        bad = {s for s in states if s.endswith((" active", " stale", " out_of_service"))}
        return (
            bad | {f"fault of {part}" for part in agent.faults} | ({"offline"} if agent.status != "online" else set())
        )
