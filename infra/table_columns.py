"""The columns of what people query, as Athena names and types them. A test holds them to the files that are written."""

from __future__ import annotations

from typing import Final

from passerelle.contracts import ledger
from passerelle.contracts.prediction import prediction_columns
from passerelle.domain.project import Project

#: Contract type -> Glue type.
GLUE_TYPES: Final = {
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "category": "string",
    "text": "string",
    "datetime": "timestamp",
    "numbers": "array<float>",
}
#: Glue type -> what Trino calls it, of which views are made.
TRINO_TYPES: Final = {"string": "varchar", "timestamp": "timestamp(3)", "array<float>": "array(real)"}
LABEL_TYPES: Final = {"binary": "tinyint", "multiclass": "string", "regression": "double"}
_SIDE: Final = "struct<observedcontenttype:string,mode:string,data:string,encoding:string>"
#: One line of SageMaker's data capture (developer guide, "Capture data"); its keys are read without regard to case.
CAPTURED: Final = (
    ("capturedata", f"struct<endpointinput:{_SIDE},endpointoutput:{_SIDE}>"),
    ("eventmetadata", "struct<eventid:string,customattributes:array<string>,inferenceid:string,inferencetime:string>"),
    ("eventversion", "string"),
)

Columns = tuple[tuple[str, str], ...]

#: A line of the ledger; its project is the partition.
LEDGER: Final = tuple((name, GLUE_TYPES[type_]) for name, type_ in ledger.COLUMNS if name != "project")


def accepted_rows(project: Project) -> Columns:
    """Return the columns of accepted rows: the line they stood in, the contract's, and what is derived of them."""
    return (("_line", "bigint"), *_declared(project), *_derived(project))


def datasets(project: Project) -> Columns:
    """Return the columns of datasets; those of the contract that a dataset does not use are empty."""
    own = (("__label", LABEL_TYPES[project.task.type]), ("__event_time", "timestamp"), ("__entity", "string"))
    return (*_declared(project), *_derived(project), *own)


def rejected_rows(project: Project) -> Columns:
    """Return the columns of rejected rows: what is wrong with them, the row as it came, its declared cells as texts."""
    own = (("_file", "string"), ("_line", "bigint"), ("_reasons", "array<string>"), ("_raw", "string"))
    return (*own, *((name, "string") for name, _ in _declared(project)))


def predictions(project: Project) -> Columns:
    """Return the columns of recorded predictions."""
    inputs = ((column.name, column.type) for column in project.derivable_columns)
    return tuple((name, GLUE_TYPES[type_]) for name, type_ in prediction_columns(inputs, project.task.type))


def _declared(project: Project) -> Columns:
    """Return the contract's columns in lower case, as Athena reads every name; a project has no name in two cases."""
    return tuple((column.name.lower(), GLUE_TYPES[column.type]) for column in project.data.columns)


def _derived(project: Project) -> Columns:
    return tuple((column.name.lower(), GLUE_TYPES[column.type]) for column in project.derived_columns)
