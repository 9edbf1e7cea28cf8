"""Airflow with OpenMetadata's plugin, as an OpenMetadata server speaks to it (contract §1).

One translation to the PipelineServiceClient port: nothing else of minisched knows these words.
"""

from __future__ import annotations

from minisched.api.airflow_plugin.routes import PREFIXES, AirflowPlugin, airflow_plugin_routers

__all__ = ["PREFIXES", "AirflowPlugin", "airflow_plugin_routers"]
