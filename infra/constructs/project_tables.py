"""What people query of a project: its accepted rows, its datasets, its rejected rows."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_s3
from constructs import Construct

from infra import table_columns
from infra.constructs.glue_table import add_table
from infra.constructs.prediction_tables import add_prediction_tables
from passerelle.contracts import zones
from passerelle.domain.project import Project

#: Who asks gives one: Athena lists no folders to find them (user guide, "Partition projection", injected type).
_GIVEN: Final = {"type": "injected"}


class ProjectTables(Construct):
    """Tables of Parquet files; what is in them is found by their paths, no crawler runs. Idle, they cost nothing.

    <project>             accepted rows, each once per file that held it
    <project>_datasets    what models learnt from: WHERE dataset_id = '...' AND part = 'train'
    <project>_quarantine  rejected rows with their reasons: WHERE run_id = '...'
    <project>_predictions each prediction once: WHERE day >= '2026-11-21'
    <project>_predictions_delivered  the same as the files have them, a prediction delivered twice twice
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        project: Project,
        curated: aws_s3.IBucket,
        quarantine: aws_s3.IBucket,
        predictions: aws_s3.IBucket,
        database_name: str,
    ) -> None:
        super().__init__(scope, id_)
        name = project.name.replace("-", "_")
        curated_uri, quarantine_uri = (f"s3://{bucket.bucket_name}" for bucket in (curated, quarantine))
        add_prediction_tables(self, project, name, f"s3://{predictions.bucket_name}", database_name)
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
