"""Dates of validity of a certificate, read from its own bytes (RFC 5280, section 4.1) with no other library."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from asd_agent.small_files import read_small

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_UTC_TIME, _VERSION = 0x17, 0xA0


@dataclass(frozen=True)
class Validity:
    """Span of time in which a certificate is valid.

    Attributes:
        begins: Seconds since 1970 UTC.
        ends: Likewise.
    """

    begins: float
    ends: float


def validities(path: Path) -> list[Validity]:
    """Return the validity of each certificate in a PEM file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds no certificate, or one that is damaged.
    """
    text = read_small(path).decode("ascii", errors="replace")
    found = [_BEGIN + part.split(_END)[0] + _END + "\n" for part in text.split(_BEGIN)[1:]]
    if not found:
        raise ValueError("holds no certificate")
    return [validity(ssl.PEM_cert_to_DER_cert(pem)) for pem in found]


def validity(der: bytes) -> Validity:
    """Return the validity of one certificate.

    Raises:
        ValueError: The bytes are no certificate.
    """
    try:
        tbs = _parts(_parts(_parts(der)[0][1])[0][1])
        # Version (optional), serial number, algorithm, issuer, validity.
        times = _parts(tbs[4 if tbs[0][0] == _VERSION else 3][1])
        return Validity(_seconds(*times[0]), _seconds(*times[1]))
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError("is no certificate") from error


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Return the consecutive values in DER: tag and content."""
    parts, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        parts.append((tag, data[at : at + length]))
        at += length
    return parts


def _seconds(tag: int, content: bytes) -> float:
    # UTCTime has two digits of the year: 50 and above are 19xx.
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
