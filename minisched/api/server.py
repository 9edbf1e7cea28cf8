"""The API as one ASGI application: every route, its dependencies, its errors and its description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.types import ControllerRouterHandler, Receive, Send

from minisched.api.access import READ, guard_of, witness_of
from minisched.api.airflow_plugin import airflow_plugin_routers
from minisched.api.dependencies import ApiDependencies, providers
from minisched.api.edge import Edge
from minisched.api.errors import EXCEPTION_HANDLERS
from minisched.api.health import health_router
from minisched.api.ingestion_pipelines import ingestion_pipelines_router
from minisched.api.instants import SCHEDULED_PATH, schedules_router
from minisched.api.openapi import SECURITY, SECURITY_SCHEMES, AnswerComponents
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
        guards=[guard_of(dependencies.authenticator)],
        after_request=witness_of(dependencies.audit_trail),
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=dependencies.max_body_bytes,
        openapi_config=OpenAPIConfig(
            title="minisched",
            version=dependencies.version,
            description="Schedules and runs OpenMetadata ingestion pipelines on one machine.",
            use_handler_docstrings=True,
            components=AnswerComponents(security_schemes=SECURITY_SCHEMES),
            security=SECURITY,
            openapi_router=Router("/schema", route_handlers=[], opt=READ, include_in_schema=False),
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
