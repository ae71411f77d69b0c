"""The projects of an environment: their archives, where the platform finds them, their tables in the catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aws_cdk import Stack, Tags, aws_s3, aws_s3_assets, aws_ssm
from constructs import Construct

from infra import table_columns
from infra.config import PlatformConfig
from infra.constructs.glue_table import add_table
from infra.constructs.prediction_tables import FIRST_DAY
from infra.constructs.project_tables import ProjectTables
from infra.projects import ProjectSource
from passerelle.contracts import ledger, naming, tags, zones

_FIRST_HOUR: Final = f"{FIRST_DAY.replace('-', '/')}/00"


class ProjectsStack(Stack):
    """Per project an archive, a parameter and tables. Idle, it costs nothing."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        projects: Sequence[ProjectSource],
        data_zones: Mapping[str, aws_s3.Bucket],
        database_name: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self.archives: list[aws_s3_assets.Asset] = []
        for source in projects:
            place = Construct(self, source.project.name)
            Tags.of(place).add(tags.PROJECT, source.project.name)
            # Nearer than the environment's own cost centre, and so in its stead.
            Tags.of(place).add(tags.COST_CENTRE, source.project.budget.cost_centre)
            archive = aws_s3_assets.Asset(
                place, "Archive", path=str(source.folder), exclude=["__pycache__", "data", ".*"]
            )
            self.archives.append(archive)
            aws_ssm.StringParameter(
                place,
                "Parameter",
                parameter_name=naming.project_parameter(config.name, source.project.name),
                string_value=json.dumps({"uri": archive.s3_object_url, "hash": archive.asset_hash}),
            )
            ProjectTables(
                place,
                "Tables",
                project=source.project,
                curated=data_zones["curated"],
                quarantine=data_zones["quarantine"],
                predictions=data_zones["predictions"],
                database_name=database_name,
            )
        if projects:
            self._captured(config, data_zones["predictions"], database_name)
            self._ledger(config, data_zones["reports"], database_name)

    def _ledger(self, config: PlatformConfig, reports: aws_s3.IBucket, database_name: str) -> None:
        """What everything did cost: WHERE project = '...' AND day >= '2026-11-01'."""
        add_table(
            self,
            "Ledger",
            database_name=database_name,
            name="ledger",
            description=f"What everything did cost, at list prices; {ledger.OWN} is what belongs to no project",
            location=f"s3://{reports.bucket_name}/",
            layout=f"{zones.ledger_prefix('${project}')}/${{{ledger.DAY}}}/",
            columns=table_columns.LEDGER,
            partitions={
                "project": {"type": "enum", "values": ",".join([*config.projects, ledger.OWN])},
                ledger.DAY: {
                    "type": "date",
                    "format": "yyyy-MM-dd",
                    "range": f"{FIRST_DAY},NOW",
                    "interval": "1",
                    "interval.unit": "DAYS",
                },
            },
        )

    def _captured(self, config: PlatformConfig, predictions: aws_s3.IBucket, database_name: str) -> None:
        """Requests and answers of all endpoints: WHERE project = '...' AND hour >= '2026/11/21/08'."""
        folder = zones.capture_prefix("${project}")
        endpoint = naming.endpoint_name(config.name, "${project}")
        add_table(
            self,
            "CapturedPredictions",
            database_name=database_name,
            name="captured_predictions",
            description="What endpoints were asked and answered, as they captured it; hours are UTC",
            location=f"s3://{predictions.bucket_name}/",
            layout=f"{folder}/{endpoint}/${{variant}}/${{hour}}/",
            columns=table_columns.CAPTURED,
            partitions={
                "project": {"type": "enum", "values": ",".join(config.projects)},
                "variant": {"type": "enum", "values": ",".join(zones.CAPTURED_VARIANTS)},
                "hour": {
                    "type": "date",
                    "format": "yyyy/MM/dd/HH",
                    "range": f"{_FIRST_HOUR},NOW",
                    "interval": "1",
                    "interval.unit": "HOURS",
                },
            },
            json_lines=True,
        )
