"""Download of a bundle from an allowed place, with a largest size and the SHA-256 that it must have."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from asd_agent.errors import BundleError
from asd_agent.small_files import read_small

TIMEOUT_SECONDS = 30.0
"""Longest silence of the server."""
_BLOCK = 1 << 16
_SPARE_BYTES = 64 << 20
"""Bytes left free on the disk: the outbox writes there as well."""


def check_url(url: str, prefixes: Sequence[str]) -> None:
    """Check that a URL begins with an allowed prefix and cannot leave it.

    Raises:
        BundleError: It does not.
    """
    path = unquote(urlsplit(url).path)
    if ".." in path.split("/") or "\\" in path or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise BundleError(f"forbidden URL: {url[:200]!r} leaves its folder")
    if not any(url.startswith(prefix) for prefix in prefixes):
        raise BundleError(f"forbidden URL: {url[:200]!r} is below none of the allowed {', '.join(prefixes)}")


def download(url: str, target: Path, *, sha256: str, most_bytes: int, ca: Path | None = None) -> None:
    """Write a URL's content to a file, and check its size and digest.

    Args:
        url: Checked by `check_url`; redirects are not followed.
        target: The file.
        sha256: Its SHA-256 in hexadecimal.
        most_bytes: Largest size.
        ca: Certificate authority of the server; None for the system's.

    Raises:
        BundleError: It is too large, differs, or cannot be read or written; the file is gone.
    """
    try:
        if ca is not None:
            read_small(ca)
        context = ssl.create_default_context(cafile=ca)
        handlers = [_NoRedirect(), urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})]
        with urllib.request.build_opener(*handlers).open(url, timeout=TIMEOUT_SECONDS) as answer:
            digest = _copy(answer, target, most_bytes)
    except urllib.error.HTTPError as error:
        raise BundleError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise BundleError(f"{url}: cannot be downloaded ({getattr(error, 'reason', None) or error})") from error
    except BundleError:
        target.unlink(missing_ok=True)
        raise
    if digest != sha256.lower():
        target.unlink(missing_ok=True)
        raise BundleError(f"wrong digest: {url} has SHA-256 {digest[:16]}…, the command names {sha256[:16]}…")


def _copy(answer: Any, target: Path, most_bytes: int) -> str:
    announced = answer.headers.get("Content-Length")
    free = shutil.disk_usage(target.parent).free - _SPARE_BYTES
    if announced is not None and int(announced) > min(most_bytes, free):
        raise _too_large(int(announced), most_bytes, free)
    digest, total = hashlib.sha256(), 0
    with target.open("xb") as file:
        while block := answer.read(_BLOCK):
            total += len(block)
            if total > min(most_bytes, free):
                raise _too_large(total, most_bytes, free)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _too_large(size: int, most_bytes: int, free: int) -> BundleError:
    limit = f"install_bundle.max_megabytes allows {most_bytes / 1e6:.1f}"
    if free < most_bytes:
        limit = f"the disk has room for {max(0, free) / 1e6:.1f}"
    return BundleError(f"too large: at least {size / 1e6:.1f} MB, {limit} MB")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: the place that they lead to is not in the list."""

    def redirect_request(self, req: urllib.request.Request, *_: Any, **__: Any) -> None:
        raise BundleError(f"forbidden URL: {req.full_url} redirects to another place")
