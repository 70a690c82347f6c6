"""Registry of source kinds, the one place that lists them: a new kind is a file here and one name in the union."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from asd_agent.config.sources.base import SourceKind
from asd_agent.config.sources.file import FileSettings
from asd_agent.config.sources.microphone import MicrophoneSettings
from asd_agent.config.sources.stream import StreamSettings

__all__ = ["SOURCE_KINDS", "FileSettings", "MicrophoneSettings", "SourceKind", "SourceSettings", "StreamSettings"]

SourceSettings = Annotated[MicrophoneSettings | FileSettings | StreamSettings, Field(discriminator="kind")]
"""Settings of any kind, told apart by the key `kind`."""

SOURCE_KINDS: dict[str, type[SourceKind]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(SourceSettings)[0])
}
"""Every kind by its name in agent.yaml."""
