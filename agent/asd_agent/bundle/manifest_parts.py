"""Parts of the manifest's schema: the kinds, texts and numbers that it is made of, each with its bounds.

Every text and number has bounds, since a bundle comes from outside: a level that is infinite makes a monitor deaf, a
transform of two billion samples fills the memory, a line break in a name forges a line of the log.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Kind = Literal[
    "autoencoder",
    "dense_autoencoder",
    "section_classifier",
    "classifier",
    "embedding",
    "network",
    "level",
    "mel_statistics",
    "mel_spectrum",
    "indicators",
]
Density = Literal["gmm", "mahalanobis", "mean", "bank", "posterior_distance", "logit_distance"]
Summary = Literal["rows", "mean", "statistics"]
"""Part of an output that a density judges: each row, the mean over them, or their mean and spread."""
DomainName = Literal["source", "target"]
"""Domains that a bundle is trained on."""
ConditionName = Literal["source", "target", "site"]
"""The same, and the domain that is calibrated on the box."""
Method = Literal["average", "median", "maximum", "minimum", "ranking"]
SectionId = Annotated[str, Field(pattern=r"^[0-9][0-9]$")]


def _check_name(value: str) -> str:
    if not value.isprintable() or set(value) & set("[]/\\") or value != value.strip():
        raise ValueError("has a character that no name may have: a control character, '[', ']', '/' or '\\'")
    return value


def without(content: dict[str, Any], key: str, default: object) -> dict[str, Any]:
    """Return serialised content without a key that has its default."""
    return {k: v for k, v in content.items() if k != key or v != default}


def _check_text(value: str) -> str:
    if not value.isprintable():
        raise ValueError("has a control character or half of one character")
    return value


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_check_name)]
"""Name that tables, log lines and paths show: printable, without the characters of markup and of paths."""
Text = Annotated[str, Field(max_length=1000), AfterValidator(_check_text)]
ArrayKey = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_check_text)]
"""Key in scorers.npz, such as `00/source/ae-0/reference`."""
GraphName = Annotated[str, Field(max_length=100), AfterValidator(_check_text)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hexadecimal."""
Finite = Annotated[float, Field(ge=-1e15, le=1e15)]
"""Score, mean or level: products and sums of such numbers are finite."""
Spread = Annotated[float, Field(ge=1e-12, le=1e15)]
"""Standard deviation; fitting gives none below 1e-6."""
Rate = Annotated[float, Field(ge=0, le=1e9)]
"""Events a day."""


class ManifestPart(BaseModel):
    """Base of every part of the manifest: fixed once read, no unknown keys, finite numbers alone."""

    # Built with the whole document that it is a part of: a schema for each part would take a tenth of a start.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


def check_once(names: list[str], subject: str) -> None:
    """Refuse a list with one name twice.

    Args:
        names: The names.
        subject: Beginning of the message.

    Raises:
        ValueError: A name occurs twice.
    """
    repeated = next((n for i, n in enumerate(names) if n in names[:i]), None)
    if repeated is not None:
        raise ValueError(f"{subject} {repeated!r} twice")
