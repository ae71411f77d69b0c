"""What people query of a project: its accepted rows, its datasets, its rejected rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aws_cdk import Stack, aws_glue, aws_s3
from constructs import Construct

from infra import table_columns
from passerelle.contracts import zones
from passerelle.domain.project import Project

_PARQUET: Final = "org.apache.hadoop.hive.ql.io.parquet"
_JSON: Final = "org.openx.data.jsonserde.JsonSerDe"
#: Who asks gives one: Athena lists no folders to find them (user guide, "Partition projection", injected type).
_GIVEN: Final = {"type": "injected"}


class ProjectTables(Construct):
    """Three tables of Parquet files; what is in them is found by their paths, no crawler runs. Idle, they cost nothing.

    <project>             accepted rows, each once per file that held it
    <project>_datasets    what models learnt from: WHERE dataset_id = '...' AND part = 'train'
    <project>_quarantine  rejected rows with their reasons: WHERE run_id = '...'
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        project: Project,
        curated: aws_s3.IBucket,
        quarantine: aws_s3.IBucket,
        database_name: str,
    ) -> None:
        super().__init__(scope, id_)
        name = project.name.replace("-", "_")
        curated_uri, quarantine_uri = (f"s3://{bucket.bucket_name}" for bucket in (curated, quarantine))
        add_table(
            scope,
            "Table",
            database_name=database_name,
            name=name,
            description=project.why.objective,
            location=f"{curated_uri}/{zones.curated_files_prefix(project.name)}/",
            columns=table_columns.accepted_rows(project),
        )
        add_table(
            self,
            "Datasets",
            database_name=database_name,
            name=f"{name}_datasets",
            description=f"What models of {project.name} learnt from and were judged by; columns not used are empty",
            location=f"{curated_uri}/",
            layout=f"{zones.dataset_prefix(project.name, '${dataset_id}')}/${{part}}/",
            columns=table_columns.datasets(project),
            partitions={"dataset_id": _GIVEN, "part": {"type": "enum", "values": "train,validation,test"}},
        )
        add_table(
            self,
            "Quarantine",
            database_name=database_name,
            name=f"{name}_quarantine",
            description=f"Rejected rows of {project.name}, whole and untrimmed, with every reason",
            location=f"{quarantine_uri}/",
            layout=f"{zones.quarantine_rows_prefix(project.name, '${run_id}', '${attempt}')}/",
            columns=table_columns.rejected_rows(project),
            partitions={"run_id": _GIVEN, "attempt": {"type": "integer", "range": "1,99"}},
        )


def add_table(
    scope: Construct,
    id_: str,
    *,
    database_name: str,
    name: str,
    description: str,
    location: str,
    columns: table_columns.Columns,
    layout: str = "",
    partitions: Mapping[str, Mapping[str, str]] | None = None,
    json_lines: bool = False,
) -> None:
    """Add a table of Parquet files, or of JSON Lines.

    `layout` says with `${name}` where below `location` a partition lies; each partition says how it is projected.
    """
    projected = {
        f"projection.{partition}.{key}": value
        for partition, settings in (partitions or {}).items()
        for key, value in settings.items()
    }
    if projected:
        projected |= {"projection.enabled": "true", "storage.location.template": f"{location}{layout}"}
    serde = _JSON if json_lines else f"{_PARQUET}.serde.ParquetHiveSerDe"
    text = "org.apache.hadoop"
    glue = aws_glue.CfnTable
    glue(
        scope,
        id_,
        catalog_id=Stack.of(scope).account,
        database_name=database_name,
        table_input=glue.TableInputProperty(
            name=name,
            description=description,
            table_type="EXTERNAL_TABLE",
            parameters={"classification": "json" if json_lines else "parquet", **projected},
            partition_keys=[glue.ColumnProperty(name=partition, type="string") for partition in partitions or {}],
            storage_descriptor=glue.StorageDescriptorProperty(
                columns=[glue.ColumnProperty(name=column, type=type_) for column, type_ in columns],
                location=location,
                input_format=f"{text}.mapred.TextInputFormat" if json_lines else f"{_PARQUET}.MapredParquetInputFormat",
                output_format=(
                    f"{text}.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
                    if json_lines
                    else f"{_PARQUET}.MapredParquetOutputFormat"
                ),
                serde_info=glue.SerdeInfoProperty(
                    serialization_library=serde,
                    # A broken line is empty, and does not fail the query.
                    parameters={"ignore.malformed.json": "true"} if json_lines else {},
                ),
            ),
        ),
    )
