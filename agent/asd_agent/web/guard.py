"""Guard of every request: proxies, origin, sizes and times, and the headers that bind the browser."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asd_agent.config.model import WebSettings

HEADER = "X-Asd"
"""Header that the page's own scripts send; no form of another site can."""
LARGEST_BODY = 64 * 1024
BODY_SECONDS = 20.0
SEND_SECONDS = 30.0
"""Time that a reader may keep a piece of an answer waiting."""
SAFE = ("GET", "HEAD")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,10}\Z")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}\Z")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {frames}"
)
_FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class Guard:
    """ASGI middleware around the page.

    It puts `address`, `prefix` and `secure` into the request's state, from the connection or from a trusted proxy.

    Args:
        app: The page.
        settings: Trusted proxies and the public URL.
        local_only: There are no users: only names of this very box are served, so that a foreign name that is made to
            point here (DNS rebinding) gets nothing.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings, *, local_only: bool) -> None:
        self._app, self._local_only = app, local_only
        self._proxies = [ipaddress.ip_network(p, strict=False) for p in settings.trusted_proxies]
        public = urlsplit(settings.public_url or "")
        self._public = public.netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        trusted = self._is_trusted(peer)
        forwarded = headers if trusted else Headers({})
        host = forwarded.get("x-forwarded-host") or headers.get("host", "")
        prefix = (forwarded.get("x-forwarded-prefix") or forwarded.get("x-ingress-path") or "").rstrip("/")
        scope["state"] = {
            **scope.get("state", {}),
            "address": self._client(forwarded, peer),
            "prefix": prefix if _PREFIX.match(prefix) else "",
            "secure": (forwarded.get("x-forwarded-proto") or scope["scheme"]) == "https",
        }
        out = _Sender(send, framed=trusted and bool(prefix))
        refusal = self._refusal(scope["method"], headers, host, trusted=trusted)
        if refusal is not None:
            await PlainTextResponse(refusal + "\n", 403)(scope, receive, out)
            return
        length = headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > LARGEST_BODY:
            await PlainTextResponse(f"more than {LARGEST_BODY} bytes\n", 413)(scope, receive, out)
            return
        await self._app(scope, _Receiver(receive), out)

    def _refusal(self, method: str, headers: Headers, host: str, *, trusted: bool) -> str | None:
        if not _HOST.match(host):
            return "the request names no host"
        name = (urlsplit(f"//{host}").hostname or "").lower()
        if self._local_only and (name not in _LOOPBACK or trusted or headers.get("x-forwarded-for")):
            return "without users the page serves this box alone; add one: asd-agent web password NAME --role admin"
        if method in SAFE:
            return None
        if method != "POST":
            return "only GET, HEAD and POST are served"
        origin = urlsplit(headers.get("origin", ""))
        own = {host.lower(), self._public} - {""}
        if origin.scheme not in {"http", "https"} or origin.netloc.lower() not in own:
            return "the request comes from another site"
        if headers.get(HEADER) != "1" or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "the request does not come from the page's own scripts"
        return None

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def _client(self, forwarded: Headers, peer: str) -> str:
        """Return the last address before the trusted proxies."""
        for text in reversed([a.strip() for a in forwarded.get("x-forwarded-for", "").split(",") if a.strip()][-10:]):
            if not self._is_trusted(text):
                try:
                    return str(ipaddress.ip_address(text))
                except ValueError:
                    return peer
        return peer


class BodyError(HTTPException):
    """A request's body is too long or too slow."""


class _Receiver:
    """Receives a body within its bounds."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._bytes, self._whole = receive, 0, False
        self._until = asyncio.get_running_loop().time() + BODY_SECONDS

    async def __call__(self) -> Message:
        if self._whole:  # from now on only the end of the connection may come
            return await self._receive()
        left = self._until - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.0))
        except (TimeoutError, asyncio.TimeoutError) as error:
            raise BodyError(408, "the request did not arrive in time", {"Connection": "close"}) from error
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > LARGEST_BODY:
            raise BodyError(413, f"more than {LARGEST_BODY} bytes", {"Connection": "close"})
        return message


class _Sender:
    """Sends an answer with the fixed headers, each piece within its time."""

    def __init__(self, send: Send, *, framed: bool) -> None:
        self._send, self._frames, self.started = send, "'self'" if framed else "'none'", False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in _FIXED.items():
                headers[name] = value
            headers["Content-Security-Policy"] = _POLICY.format(frames=self._frames)
            headers.setdefault("Cache-Control", "no-store")
        await asyncio.wait_for(self._send(message), SEND_SECONDS)
