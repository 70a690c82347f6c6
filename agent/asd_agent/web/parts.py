"""Parts that all pages share: who asks, what the service answers, and how a page is drawn."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from asd_agent import __version__
from asd_agent.config.model import Config, MonitorSettings, WebSettings
from asd_agent.web import values
from asd_agent.web.service_client import RefusedError, ServiceAwayError, ServiceClient
from asd_agent.web.sessions import COOKIE, LoginLimit, LoginSessions
from asd_agent.web.texts import Texts
from asd_agent.web.users import Role, User, UserFile

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]
LOCAL = User("local", "operator")
"""Whoever uses a page without users: somebody at this very box."""
FOLDER = files("asd_agent.web")
REFRESH_SECONDS = 2.0
"""Seconds for which the service's monitors are known; a reload brings others."""


class UnknownMonitorError(Exception):
    """A page of a monitor that is not in the configuration."""


@dataclass
class PageParts:
    """Parts of one page.

    Attributes:
        config: The configuration.
        settings: Its section `web`.
        users: People who may log in.
        service: The service's gateway.
        local_only: There were no users at the start, so the page serves this box alone.
    """

    config: Config
    settings: WebSettings
    users: UserFile
    service: ServiceClient
    local_only: bool
    sessions: LoginSessions = field(default_factory=LoginSessions)
    limit: LoginLimit = field(default_factory=LoginLimit)

    def __post_init__(self) -> None:
        """Prepare the templates."""
        self.monitors = dict(self.config.monitors)
        self._refreshed = float("-inf")
        self.texts = Texts(self.settings.language)
        self.templates = Environment(
            loader=FileSystemLoader(str(FOLDER / "templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.globals.update(
            t=self.texts,
            version=__version__,
            agent=self.config.agent.name,
            language=self.settings.language,
            zone=values.zone_name(),
            local=values.local,
            machine_time=values.machine_time,
            lasted=values.lasted,
            number=values.number,
            size=values.size,
        )

    def monitor(self, request: Request) -> tuple[str, MonitorSettings]:
        """Return the monitor that the path of a request names, and its settings.

        Raises:
            UnknownMonitorError: There is none of this name; `needs` answers with 404.
        """
        name = request.path_params["monitor"]
        if name not in self.monitors:
            raise UnknownMonitorError
        return name, self.monitors[name]

    async def refresh(self) -> None:
        """Take over the monitors that the service runs with; those known before stay while it is away."""
        if time.monotonic() - self._refreshed < REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        with contextlib.suppress(ServiceAwayError, RefusedError):
            found = (await self.service.ask("about")).get("monitors")
            if found is not None and all(
                "settings" in m for m in found.values()
            ):  # an earlier service does not send them
                self.monitors = {n: MonitorSettings.model_validate(m["settings"]) for n, m in found.items()}

    def outdated(self) -> None:
        """Ask the service for its monitors before the next page."""
        self._refreshed = float("-inf")

    def user(self, request: Request, *, is_use: bool = True) -> User | None:
        """Return the person who asks; None where nobody is logged in. `is_use` as in `LoginSessions.name`."""
        if self.local_only and not self.users.names():
            return LOCAL
        name = self.sessions.name(request.cookies.get(COOKIE, ""), is_use=is_use)
        role = self.users.role(name) if name else None
        return User(name, role) if name and role else None

    def page(self, request: Request, template: str, status: int = 200, **more: Any) -> Response:
        """Draw a page or a part of one.

        Args:
            request: The request.
            template: File in the folder `templates`.
            status: Status of the answer.
            more: Values of the template; `base` is the way to the root from the page that shows a part.
        """
        common = {"base": relative(request, ""), "path": request.url.path, "user": self.user(request)}
        text = self.templates.get_template(template).render({**common, "now": time.time(), **more})
        return HTMLResponse(text, status)


def parts_of(request: Request) -> PageParts:
    """Return the parts of the page that a request is for."""
    parts: PageParts = request.app.state.parts
    return parts


def is_fragment(request: Request) -> bool:
    """Return whether a script of the page asks, for a part of it or for data."""
    return request.headers.get("hx-request") == "true" or request.headers.get("x-asd") == "1"


def needs(role: Role) -> Callable[[Handler], Handler]:
    """Serve a request only for people with a role, and answer for a service that is away or refuses."""

    def wrap(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def serve(request: Request) -> Response:
            parts = parts_of(request)
            user = parts.user(request)
            if user is None:
                return _to_login(request)
            if not user.may(role):
                log.warning("%s (%s) was refused %s", user.name, user.role, request.url.path)
                return PlainTextResponse(parts.texts("error.role", role=parts.texts(f"role.{role}")), 403)
            request.state.user = user
            await parts.refresh()
            try:
                return await handler(request)
            except UnknownMonitorError:
                return _problem(request, parts.texts("error.no_monitor"), 404)
            except RefusedError as error:
                return _problem(request, str(error), 400)
            except ServiceAwayError as error:
                return _problem(request, f"{parts.texts('error.away')} {error}", 503)
            except ValueError as error:
                return _problem(request, str(error), 400)

        return serve

    return wrap


def relative(request: Request, path: str) -> str:
    """Return a URL of the page relative to that of the request, so that it also holds behind a prefix."""
    return ("../" * (request.url.path.count("/") - 1) or "./") + path.removeprefix("./")


def _to_login(request: Request) -> Response:
    if is_fragment(request):
        return PlainTextResponse("", 401, {"HX-Refresh": "true"})
    if request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") == "navigate":
        # A link from a message: the browser keeps a SameSite=Strict cookie back until the page itself asks again.
        return parts_of(request).page(request, "bounce.html")
    return RedirectResponse(relative(request, "login"), 303)


def _problem(request: Request, text: str, status: int) -> Response:
    if is_fragment(request) or request.method != "GET":
        return PlainTextResponse(text, status)
    return parts_of(request).page(request, "problem.html", status, text=text)
