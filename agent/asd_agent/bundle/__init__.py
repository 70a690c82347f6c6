"""Bundles: what the trainer exports and the agent runs."""

from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.store import Bundle

__all__ = ["Bundle", "Manifest"]
