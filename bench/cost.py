"""How quickly and how rightly a template is priced, beside the closest tool on PyPI, in one run.

    make bench-cost       or: python -m bench.cost [--peer-python PYTHON] [--no-peer] [--resources 500]

Every estimate is the command in a process of its own, start included, without network. The sums are those of the same
services by AWS's list prices of October 2026, us-east-1, as computed by hand. The peer, aws-iac-cost-estimator, is
installed into an environment of its own. Standard output ends with one JSON object, also bench/results/cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.report import machine, say, write_result

PEER: Final = "aws-iac-cost-estimator-mcp-server==0.1.1"
ROOT: Final = Path(__file__).resolve().parents[1]
REGION: Final = "us-east-1"
REPEATS: Final = 5
#: No tool may reach AWS or find credentials.
OFFLINE: Final = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}

TASK: Final = {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "512", "Memory": "1024"}}
SERVICE: Final = {
    "Type": "AWS::ECS::Service",
    "Properties": {"LaunchType": "FARGATE", "DesiredCount": 1, "TaskDefinition": {"Ref": "Task"}},
}
DATABASE: Final = {
    "Type": "AWS::RDS::DBInstance",
    "Properties": {
        "Engine": "postgres",
        "DBInstanceClass": "db.t4g.micro",
        "AllocatedStorage": "20",
        "StorageType": "gp3",
    },
}
GATEWAY: Final = {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": "s"}}
ADDRESS: Final = {"Type": "AWS::EC2::EIP", "Properties": {}}


def served(instance_type: str) -> dict[str, Any]:
    """Return an endpoint with one instance."""
    variant = {"VariantName": "champion", "InstanceType": instance_type, "InitialInstanceCount": 1, "ModelName": "m"}
    return {
        "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": [variant]}},
        "Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": {"Ref": "Config"}}},
    }


#: What is priced -> its resources, and its fixed USD a month.
GOLDEN: Final[Mapping[str, tuple[dict[str, Any], float]]] = {
    "MLflow on Fargate, 0.5 vCPU and 1 GB": ({"Task": TASK, "Server": SERVICE}, 18.02),
    "db.t4g.micro with 20 GB": ({"Database": DATABASE}, 13.98),
    "NAT gateway with its address": ({"Gateway": GATEWAY, "Address": ADDRESS}, 36.50),
    "endpoint ml.m5.large": (served("ml.m5.large"), 83.95),
    "endpoint ml.g5.xlarge": (served("ml.g5.xlarge"), 1_027.84),
}


def large(count: int) -> dict[str, Any]:
    """Return resources as an application has them: functions with roles, logs and alarms, and some of all the rest."""
    kinds: tuple[dict[str, Any], ...] = (
        {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512, "Architectures": ["arm64"]}},
        {"Type": "AWS::IAM::Role", "Properties": {"RoleName": {"Fn::Sub": "${AWS::StackName}-role"}}},
        {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
        {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Period": 300}},
        {"Type": "AWS::S3::Bucket", "Properties": {}},
        {"Type": "AWS::SQS::Queue", "Properties": {}},
        DATABASE,
        GATEWAY,
        SERVICE,
        {"Type": "AWS::KMS::Key", "Properties": {}},
    )
    return {"Task": TASK} | {f"R{number}": kinds[number % len(kinds)] for number in range(count - 1)}


def timed(command: list[str]) -> tuple[float, dict[str, Any]]:
    """Run an estimate several times; returns the median seconds, and what it says."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **OFFLINE}, capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - started)
    return median(seconds), json.loads(done.stdout[done.stdout.index("{") :])


def ours(path: Path) -> tuple[float, float]:
    """Return seconds, and the fixed USD a month."""
    seconds, told = timed(
        [sys.executable, "-m", "cli.main", "--json", "cost", "estimate", str(path), "--region", REGION]
    )
    return seconds, float(told["passerelle"]["fixedMonthlyCost"])


def peers(python: str, path: Path) -> tuple[float, float]:
    """Return the peer's seconds, and its USD a month."""
    seconds, told = timed([python, str(ROOT / "bench" / "cost_peer.py"), str(path), REGION])
    return seconds, float(told["total_monthly_estimate_usd"])


def installed(folder: Path) -> str:
    """Return the Python of an environment that has the peer."""
    say(f"installing {PEER} …")
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", PEER], check=True)
    return python


def rows(folder: Path, peer: str | None, count: int) -> list[dict[str, Any]]:
    """Return a row for each golden sum, then the time of the large template."""
    found = []
    for name, (resources, usd) in {**GOLDEN, f"{count} resources": (large(count), None)}.items():
        path = folder / "template.json"
        path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
        own, other = ours(path), peers(peer, path) if peer else None
        unit, index = ("s", 0) if usd is None else ("USD a month", 1)
        row = {
            "measure": f"{name}, start included" if usd is None else f"{name} (true: {usd:.2f})",
            "unit": unit,
            "ours": round(own[index], 4),
            "peer": None if other is None else round(other[index], 4),
            "peer_name": PEER,
            "ratio": round(other[0] / own[0], 2) if other and usd is None else None,
        }
        say(f"{row['measure']}: {row['ours']} {unit}, peer {row['peer']}")
        found.append(row)
    return found


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="a Python that has the peer")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--resources", type=int, default=500)
    options = parser.parse_args()
    described = machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        peer = None if options.no_peer else options.peer_python or installed(folder / "peer")
        result = {"bench": "cost", "rows": rows(folder, peer, options.resources), "machine": described}
    write_result(result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
