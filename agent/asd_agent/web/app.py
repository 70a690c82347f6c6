"""The page as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from asd_agent.config.model import Config, WebSettings
from asd_agent.control_client import WEB_SOCKET_NAME
from asd_agent.errors import ConfigError
from asd_agent.web.guard import Guard
from asd_agent.web.live_sound import SoundHub
from asd_agent.web.login import log_in, log_out, show_login
from asd_agent.web.pages import actions, alarm, alarms, box, bundles, calibrate, listen, machine, machines, new_machine
from asd_agent.web.parts import FOLDER, PageParts, needs, parts_of
from asd_agent.web.service_client import ServiceClient
from asd_agent.web.updates import UpdateHub, updates
from asd_agent.web.users import UserFile

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class VersionedFiles(StaticFiles):
    """Files of the page; their addresses carry the version, so a browser may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return one file."""
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=86400" if scope["query_string"] else "no-cache"
        return answer


def create_app(config: Config) -> Starlette:
    """Build the page.

    Args:
        config: The configuration, with a section `web`.

    Raises:
        ConfigError: There is no section `web`, or there are no users and it would listen off this box.
    """
    settings = config.web
    if settings is None:
        raise ConfigError("agent.yaml has no section `web`", "Add `web: {}` and restart asd-agent; see docs/page.md.")
    users = UserFile(settings.users)
    is_open = not users.names()
    check_address(settings, is_open=is_open)
    parts = PageParts(config, settings, users, ServiceClient(config.paths.state / WEB_SOCKET_NAME), is_open)
    app = Starlette(
        routes=[
            Route("/", machines.machines),
            Route("/login", show_login),
            Route("/login", log_in, methods=["POST"]),
            Route("/logout", log_out, methods=["POST"]),
            Route("/updates", updates),
            Route("/act", actions.act, methods=["POST"]),
            Route("/test-alarm", actions.test_alarm, methods=["POST"]),
            Route("/alarms", alarms.alarms),
            Route("/history", alarms.history),
            Route("/alarms.csv", alarms.history_csv),
            Route("/alarms/{alarm_id}", alarm.alarm),
            Route("/alarms/{alarm_id}/scores", alarm.scores),
            Route("/alarms/{alarm_id}/{file}", alarm.evidence),
            Route("/machines/{monitor}", machine.machine),
            Route("/machines/{monitor}/series", machine.series),
            Route("/machines/{monitor}/what-if", machine.what_if),
            Route("/machines/{monitor}/level", machine.apply_level, methods=["POST"]),
            Route("/machines/{monitor}/listen", listen.listen),
            Route("/machines/{monitor}/listen/columns", listen.columns),
            Route("/machines/{monitor}/listen/sound.wav", listen.sound),
            Route("/machines/{monitor}/calibrate", calibrate.calibrate),
            Route("/machines/{monitor}/calibrate", calibrate.start, methods=["POST"]),
            Route("/machines/{monitor}/calibrate/cancel", calibrate.cancel, methods=["POST"]),
            Route("/machines/{monitor}/calibrate/use", calibrate.use, methods=["POST"]),
            Route("/machines/{monitor}/calibrate/undo", calibrate.undo, methods=["POST"]),
            Route("/new", new_machine.new_machine),
            Route("/new/inputs", new_machine.inputs),
            Route("/new/level", new_machine.level),
            Route("/new/choose", new_machine.choose, methods=["POST"]),
            Route("/new/record", new_machine.record, methods=["POST"]),
            Route("/new/learn", new_machine.learn, methods=["POST"]),
            Route("/new/add", new_machine.add, methods=["POST"]),
            Route("/new/cancel", new_machine.cancel, methods=["POST"]),
            Route("/new/discard", new_machine.discard, methods=["POST"]),
            Route("/new/remove", new_machine.remove, methods=["POST"]),
            Route("/new/undo", new_machine.undo, methods=["POST"]),
            Route("/bundles", bundles.bundles),
            Route("/bundles/piece", bundles.piece, methods=["POST"]),
            Route("/bundles/install", bundles.install, methods=["POST"]),
            Route("/bundles/rollback", bundles.rollback, methods=["POST"]),
            Route("/bundles/cancel", bundles.cancel, methods=["POST"]),
            Route("/box", box.box),
            Route("/box/doctor", box.doctor),
            Route("/box/log", box.lines),
            Route("/box/support.tar.gz", box.support),
            Route("/healthz", _healthz),
            Mount("/static", VersionedFiles(directory=str(FOLDER / "static"))),
        ],
        middleware=[Middleware(Guard, settings=settings, local_only=is_open)],
        exception_handlers={404: _not_found},
    )
    app.state.parts = parts
    app.state.hub = UpdateHub(parts.service)
    app.state.sound = SoundHub(parts.service)
    app.state.charts = machines.TileCharts()
    return app


def check_address(settings: WebSettings, *, is_open: bool) -> None:
    """Refuse to listen off this box without users.

    Raises:
        ConfigError: There are no users, and `web.host` is no loopback address.
    """
    if is_open and settings.host not in LOOPBACK:
        raise ConfigError(
            f"web.host is {settings.host} and there are no users in {settings.users}",
            "Add one first: sudo asd-agent web password NAME --role admin",
        )


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


@needs("viewer")
async def _missing(request: Request) -> Response:
    parts = parts_of(request)
    return parts.page(request, "problem.html", 404, text=parts.texts("error.not_found"))


async def _not_found(request: Request, _error: Exception) -> Response:
    return await _missing(request)
