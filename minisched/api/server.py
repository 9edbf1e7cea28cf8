"""The API as one ASGI application: every route, its dependencies, its errors and its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.types import ControllerRouterHandler, Receive, Send

from minisched.api.airflow_plugin import airflow_plugin_routers
from minisched.api.dependencies import ApiDependencies, providers
from minisched.api.edge import Edge
from minisched.api.errors import EXCEPTION_HANDLERS
from minisched.api.health import health_router
from minisched.api.ingestion_pipelines import ingestion_pipelines_router
from minisched.api.instants import SCHEDULED_PATH, schedules_router
from minisched.api.openapi import AnswerComponents
from minisched.api.placements import placements_router
from minisched.api.representation import PIPELINES_PATH
from minisched.api.runs import minisched_router


class Api(Litestar):
    """A Litestar application behind the edge that every request passes (see `edge`)."""

    edge: Edge | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:  # type: ignore[override]
        await (self.edge or super().__call__)(scope, receive, send)

    async def inner(self, scope: Any, receive: Receive, send: Send) -> None:
        """The application without its edge."""
        await super().__call__(scope, receive, send)


def create_api(dependencies: ApiDependencies, sandbox_routes: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """The application of one server.

    `sandbox_routes` carry their own dependencies. Nothing is started and nothing is connected here.
    """
    plugin = dependencies.airflow_plugin
    api = Api(
        route_handlers=[
            ingestion_pipelines_router(),
            minisched_router(),
            schedules_router(),
            placements_router(),
            health_router(),
            *(airflow_plugin_routers(plugin) if plugin else []),
            *sandbox_routes,
        ],
        dependencies=providers(dependencies),
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=dependencies.max_body_bytes,
        openapi_config=OpenAPIConfig(
            title="minisched",
            version=dependencies.version,
            description="Schedules and runs OpenMetadata ingestion pipelines on one machine.",
            path="/schema",
            use_handler_docstrings=True,
            components=AnswerComponents(),
            render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"]), YamlRenderPlugin()],
        ),
        logging_config=None,
    )
    api.edge = Edge(
        api.inner,
        bound_host=dependencies.bound_host,
        public_url=dependencies.public_url,
        keep_slashes_below=[PIPELINES_PATH, SCHEDULED_PATH],
    )
    return api
