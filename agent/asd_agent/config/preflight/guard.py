"""Guard of a preflight: whatever a check runs into becomes a finding with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from asd_agent.config.finding import Finding, problem


def guarded(where: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return the findings of a check; an exception that it lets out is one of them.

    Files, certificates and libraries fail in ways that no list of exceptions covers, and one failure must not hide what
    the other checks find.

    Args:
        where: Path of the key in agent.yaml.
        check: The check.
    """
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - see above
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or "no reason given"
        return [problem(where, f"cannot be checked ({type(error).__name__}: {reason[:200]})", "Set another value")]
