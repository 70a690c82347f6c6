"""Server of the page: uvicorn with bounds."""

from __future__ import annotations

import ipaddress
import logging

import uvicorn

from asd_agent.config.model import Config
from asd_agent.errors import ConfigError
from asd_agent.small_files import read_small
from asd_agent.web.app import create_app
from asd_agent.web.connections import BoundedConnection

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 5
STOP_SECONDS = 3
LARGEST_HEAD = 16 * 1024


def serve(config: Config) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Raises:
        ConfigError: The page cannot be served with this configuration.
    """
    app = create_app(config)
    settings = config.web
    assert settings is not None
    networks = tuple(ipaddress.ip_network(p, strict=False) for p in settings.trusted_proxies)
    protocol = type("PageConnection", (BoundedConnection,), {"exempt": networks})
    scheme = "https" if settings.certificate else "http"
    log.info("the page is at %s", settings.public_url or f"{scheme}://{settings.host}:{settings.port}/")
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.key,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
    )
    try:
        for path in (settings.certificate, settings.key):
            if path is not None:
                read_small(path)  # OpenSSL itself waits for a pipe and reads a device without end
        server.run()
    except SystemExit as error:  # uvicorn's way to report that it cannot listen; its log line has the reason
        raise ConfigError(
            f"the page cannot listen on {settings.host}:{settings.port}", "Is another program there? See web.port."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"web.certificate or web.key cannot be used ({error.strerror or error})", "Give PEM files of a pair."
        ) from error
