"""Bundles: the folders that the trainer exports and the agent runs."""

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import Manifest

__all__ = ["Bundle", "Manifest"]
