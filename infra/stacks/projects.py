"""The projects of an environment: their archives, where the platform finds them, their tables in the catalogue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import Stack, aws_glue, aws_s3, aws_s3_assets, aws_ssm
from constructs import Construct

from infra.config import PlatformConfig
from infra.projects import ProjectSource
from passerelle.contracts import naming, zones

#: Contract type -> Glue type.
GLUE_TYPES: Final = {
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "category": "string",
    "text": "string",
    "datetime": "timestamp",
}
_PARQUET: Final = "org.apache.hadoop.hive.ql.io.parquet"


class ProjectsStack(Stack):
    """One archive, parameter and table per project. Idle, it costs nothing."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: PlatformConfig,
        projects: Sequence[ProjectSource],
        curated: aws_s3.IBucket,
        database_name: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        self.archives: list[aws_s3_assets.Asset] = []
        for source in projects:
            place = Construct(self, source.project.name)
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
            self._table(place, source, curated, database_name)

    def _table(self, place: Construct, source: ProjectSource, curated: aws_s3.IBucket, database_name: str) -> None:
        location = f"s3://{curated.bucket_name}/{zones.curated_files_prefix(source.project.name)}/"
        columns = [
            aws_glue.CfnTable.ColumnProperty(name=column.name, type=GLUE_TYPES[column.type])
            for column in source.project.data.columns
        ]
        aws_glue.CfnTable(
            place,
            "Table",
            catalog_id=self.account,
            database_name=database_name,
            table_input=aws_glue.CfnTable.TableInputProperty(
                name=source.project.name.replace("-", "_"),
                description=source.project.why.objective,
                table_type="EXTERNAL_TABLE",
                parameters={"classification": "parquet"},
                storage_descriptor=aws_glue.CfnTable.StorageDescriptorProperty(
                    columns=columns,
                    location=location,
                    input_format=f"{_PARQUET}.MapredParquetInputFormat",
                    output_format=f"{_PARQUET}.MapredParquetOutputFormat",
                    serde_info=aws_glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{_PARQUET}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
