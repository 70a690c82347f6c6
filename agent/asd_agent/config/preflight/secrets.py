"""Preflight of secrets: files and credentials that hold passwords and URLs."""

from __future__ import annotations

import os

from asd_agent.config.base import Secret
from asd_agent.config.finding import Finding, problem, warning


def preflight_secret(key: str, secret: Secret, what: str = "password") -> list[Finding]:
    """Check that a secret can be read, and only by those who must.

    Args:
        key: Its place in agent.yaml.
        secret: The secret.
        what: Name of what the file must hold.
    """
    if secret.credential is not None and "CREDENTIALS_DIRECTORY" not in os.environ:
        if "INVOCATION_ID" not in os.environ:
            text = f"credential {secret.credential!r} is passed to the service alone and cannot be read here"
            return [warning(key, text, "`asd-agent doctor` checks that the unit passes it")]
        text = f"credential {secret.credential!r} is not passed to this service"
        remedy = f"Add `LoadCredential={secret.credential}:/etc/asd-agent/{secret.credential}` to the unit"
        return [problem(key, text, remedy)]
    try:
        secret.read()
    except ValueError as error:
        return [problem(key, str(error), f"Write the {what} alone into that file, readable for the agent's user")]
    path = secret.path()
    if secret.file is not None and path.stat().st_mode & 0o004:
        return [warning(key, f"{path} can be read by every user of this box", f"Run `chmod o-r {path}`")]
    return []
