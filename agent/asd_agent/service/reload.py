"""Reload: another configuration is read and loaded on a thread of its own, while scoring continues.

The loop then applies it between two cycles, whole or not at all.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.config.model import Config
from asd_agent.errors import AsdError, ConfigError
from asd_agent.service.control import Request
from asd_agent.service.loaded_bundles import LoadedBundles, load_bundles

log = logging.getLogger(__name__)

LIVE = frozenset({"sources", "monitors", "providers", "commands"})
"""Parts of the configuration that may change while the service runs."""


@dataclass(frozen=True)
class Changes:
    """Differences between two configurations.

    Attributes:
        text: All of them, in words.
        bundles: Texts for the monitors that have another bundle, by monitor.
    """

    text: str
    bundles: Mapping[str, str]


def refused(old: Config, new: Config) -> list[str]:
    """Return the differences that need a restart, in words."""
    fixed = [name for name in type(old).model_fields if name not in LIVE]
    return [
        f"'{name}' differs from what the service was started with. That takes a restart: `systemctl restart asd-agent`"
        for name in fixed
        if getattr(old, name) != getattr(new, name)
    ]


def compare(old: LoadedBundles, new: LoadedBundles) -> Changes:
    """Return the differences between two loaded configurations."""
    texts = [
        *_differing("source", old.config.sources, new.config.sources),
        *_differing("monitor", old.config.monitors, new.config.monitors),
    ]
    texts += [f"{p} changed" for p in ("providers", "commands") if getattr(old.config, p) != getattr(new.config, p)]
    bundles = {}
    for name in sorted(set(old.scorers) & set(new.scorers)):
        before, after = old.scorers[name].bundle, new.scorers[name].bundle
        if before.digest != after.digest:
            bundles[name] = (
                f"{after.manifest.name} {after.digest[:12]} scores in place of "
                f"{before.manifest.name} {before.digest[:12]}"
            )
            texts.append(f"monitor {name}: {bundles[name]}")
    return Changes("; ".join(texts) or "nothing differs", bundles)


class Reloader:
    """Loads another configuration on request.

    Args:
        reread: Reads the configuration again; None where it came from no file.
        wake: Set when the outcome waits.
    """

    def __init__(self, reread: Callable[[], Config] | None, wake: threading.Event) -> None:
        self._reread, self._wake = reread, wake
        # A deque and no lock: a signal handler may run while this thread holds any lock there is.
        self._asked: deque[Request | None] = deque()
        self._served: list[Request] = []
        self._thread: threading.Thread | None = None
        self._outcome: LoadedBundles | AsdError | None = None

    def ask(self, request: Request | None = None) -> None:
        """Request a reload; may be called from a signal handler.

        Args:
            request: Request to answer when it is done.
        """
        self._asked.append(request)

    def begin(self, current: LoadedBundles) -> bool:
        """Start to load, if a reload was requested and none is in progress; return whether it started.

        Args:
            current: The running configuration.
        """
        if self._thread is not None or not self._asked:
            return False
        while self._asked:
            request = self._asked.popleft()
            self._served += [request] if request is not None else []
        self._thread = threading.Thread(target=self._prepare, args=(current,), name="reload", daemon=True)
        self._thread.start()
        return True

    def take(self) -> LoadedBundles | AsdError | None:
        """Return the outcome, once: bundles to apply, or the error; None while there is no outcome."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        return self._outcome

    def answer(self, document: dict[str, Any]) -> None:
        """Answer the requests for this reload."""
        for request in self._served:
            request.reply(document)
        self._served = []

    def _prepare(self, current: LoadedBundles) -> None:
        try:
            self._outcome = self._load(current)
        except AsdError as error:
            self._outcome = error
        except Exception as error:
            # Any error leaves the running configuration as it is.
            log.exception("reload: the configuration could not be loaded; the running one continues")
            self._outcome = AsdError(f"{type(error).__name__}: {error}")
        self._wake.set()

    def _load(self, current: LoadedBundles) -> LoadedBundles:
        if self._reread is None:
            raise ConfigError("this service was not started from a file, so there is none to read again")
        config = self._reread()
        mistakes = refused(current.config, config)
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return load_bundles(config, current)


def _differing(kind: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    changed = sorted(name for name in set(old) & set(new) if old[name] != new[name])
    return [
        f"{kind} {_listed(names)} {word}"
        for names, word in ((added, "added"), (removed, "removed"), (changed, "changed"))
        if names
    ]


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
