"""The names that AWS knows, from botocore's model: `python -m tests.contract.aws_names` after botocore was raised."""

from __future__ import annotations

import json

import botocore.session

from passerelle.domain.project.instance_types import FILE

_SHAPES = {
    "training": "TrainingInstanceType",
    "processing": "ProcessingInstanceType",
    "endpoint": "ProductionVariantInstanceType",
}
#: The partitions of which the platform's templates and prices know nothing are left out.
_PARTITION = "aws"


def aws_names() -> dict[str, list[str]]:
    """Return instance types by use, and the regions with SageMaker."""
    session = botocore.session.get_session()
    model = session.get_service_model("sagemaker")
    names = {use: sorted(model.shape_for(shape).enum) for use, shape in _SHAPES.items()}
    return names | {"regions": sorted(session.get_available_regions("sagemaker", partition_name=_PARTITION))}


def text() -> str:
    """Return the file's content: one line a use."""
    lines = [f'  "{name}": {json.dumps(values)}' for name, values in aws_names().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
