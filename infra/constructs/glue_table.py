"""A table of files in the catalogue, whose partitions are found by their paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aws_cdk import Stack, aws_glue
from constructs import Construct

from infra import table_columns

_PARQUET: Final = "org.apache.hadoop.hive.ql.io.parquet"
_JSON: Final = "org.openx.data.jsonserde.JsonSerDe"


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
) -> aws_glue.CfnTable:
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
    return glue(
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
