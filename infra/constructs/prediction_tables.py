"""What people query of a project's predictions: the files as they were delivered, and a view with each of them once."""

from __future__ import annotations

import base64
import json
from typing import Final

from aws_cdk import Stack, aws_glue
from constructs import Construct

from infra import table_columns
from infra.constructs.glue_table import add_table
from passerelle.contracts import zones
from passerelle.contracts.prediction import DAY, once_sql
from passerelle.domain.project import Project

#: No endpoint of the platform is older: days before it are not looked for.
FIRST_DAY: Final = "2026-01-01"


def add_prediction_tables(scope: Construct, project: Project, name: str, uri: str, database_name: str) -> None:
    """Add `<name>_predictions_delivered` and its view `<name>_predictions`."""
    delivered, columns = f"{name}_predictions_delivered", table_columns.predictions(project)
    table = add_table(
        scope,
        "PredictionsDelivered",
        database_name=database_name,
        name=delivered,
        description=f"Predictions of {project.name} as their files have them; ask the view {name}_predictions",
        location=f"{uri}/",
        layout=f"{zones.prediction_records_prefix(project.name)}/${{{DAY}}}/",
        columns=columns,
        partitions={
            DAY: {
                "type": "date",
                "format": "yyyy-MM-dd",
                "range": f"{FIRST_DAY},NOW",
                "interval": "1",
                "interval.unit": "DAYS",
            }
        },
    )
    view = _add_view(
        scope,
        database_name=database_name,
        name=f"{name}_predictions",
        description=f"Each prediction of {project.name} once; days are UTC",
        of=delivered,
        columns=(*columns, (DAY, "string")),
    )
    view.add_dependency(table)


def _add_view(
    scope: Construct, *, database_name: str, name: str, description: str, of: str, columns: table_columns.Columns
) -> aws_glue.CfnTable:
    """Add a view of Athena's: Glue keeps what Hive would (io.trino.plugin.hive, HiveViewCodec)."""
    trino = [{"name": column, "type": table_columns.TRINO_TYPES.get(type_, type_)} for column, type_ in columns]
    query = once_sql(f'"{of}"', [column for column, _ in columns], within=(DAY,))
    text = {"originalSql": query, "catalog": "awsdatacatalog", "schema": database_name, "columns": trino}
    encoded = base64.b64encode(json.dumps(text).encode()).decode()
    glue = aws_glue.CfnTable
    return glue(
        scope,
        "Predictions",
        catalog_id=Stack.of(scope).account,
        database_name=database_name,
        table_input=glue.TableInputProperty(
            name=name,
            description=description,
            table_type="VIRTUAL_VIEW",
            parameters={"presto_view": "true", "comment": "Presto View"},
            view_original_text=f"/* Presto View: {encoded} */",
            view_expanded_text="/* Presto View */",
            partition_keys=[],
            storage_descriptor=glue.StorageDescriptorProperty(
                columns=[glue.ColumnProperty(name=column, type=type_) for column, type_ in columns],
                location="",
                serde_info=glue.SerdeInfoProperty(),
            ),
        ),
    )
