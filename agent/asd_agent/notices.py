"""Notices of the agent as a whole: what the layers below the service return for the topic `event`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AgentNotice:
    """Something that concerns the agent and no single alarm.

    Attributes:
        event: Its name on the wire, such as `drops`, `outbox_reset` or `evidence_lost`.
        subject: The source, monitor, bundle or part that it is about; empty for the agent itself.
        text: For people.
        count: How many, where something is counted; else 1.
    """

    event: str
    subject: str
    text: str
    count: int = 1
