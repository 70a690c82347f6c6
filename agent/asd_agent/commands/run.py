"""asd-agent run: the service."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from asd_agent.commands.console import log_to_stderr
from asd_agent.config.file import load_config


def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Listen, score and alert until stopped.

    The configuration and its bundles are validated first; exit code 78 when they cannot be used. On SIGHUP they are
    read again; where they cannot be used, nothing changes.

    Example: asd-agent run -c agent.yaml
    """
    from asd_agent.service.loader import LoadedRuntime
    from asd_agent.service.loop import Service

    settings = load_config(config)
    os.umask(0o077)  # evidence and outbox hold what people say near the microphone
    log_to_stderr(logging.DEBUG if verbose else logging.INFO)
    faulthandler.enable()  # the watchdog ends a hung service with SIGABRT; the log then shows where it hung
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    service = Service(LoadedRuntime(settings, reread=lambda: load_config(config), file=config.absolute()))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    signal.signal(signal.SIGHUP, lambda *_: service.reload())
    service.run()
    sys.stderr.flush()
