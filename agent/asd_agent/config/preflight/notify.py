"""Preflight of notifications: the library, the URL of each target, and its certificate authority. Nothing is sent."""

from __future__ import annotations

import importlib.util
import ssl

from asd_agent.config.finding import Finding, problem
from asd_agent.config.notify import NotifySettings
from asd_agent.config.preflight.secrets import preflight_secret
from asd_agent.small_files import read_small


def preflight_notify(name: str, settings: NotifySettings) -> list[Finding]:
    """Check one target.

    Args:
        name: Its name in agent.yaml.
        settings: The target.
    """
    key = f"notify.{name}"
    if importlib.util.find_spec("apprise") is None:
        remedy = "Run `make upgrade EXTRAS=notify,metrics,calibrate` in the agent's source, or remove 'notify'"
        return [problem(key, "the library apprise is not installed", remedy)]
    found = preflight_secret(f"{key}.url", settings.url, "URL")
    if settings.ca is not None:
        try:
            read_small(settings.ca)
            ssl.create_default_context(cafile=settings.ca)
        except OSError as error:
            found.append(problem(f"{key}.ca", f"{settings.ca}: {error.strerror or error}", "Name a PEM file"))
    if any(f.level == "problem" for f in found) or settings.url.credential is not None:
        return found
    import apprise

    if apprise.Apprise.instantiate(settings.url.read().strip()) is None:
        text = f"Apprise does not understand the URL in {settings.url.path()}"
        found.append(problem(f"{key}.url", text, "See its syntax for this service at https://appriseit.com"))
    return found
