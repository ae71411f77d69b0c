"""The instances that we know have the cores, memory and GPUs that EC2 says they have."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

from passerelle.domain.cost.instances import instances
from passerelle.domain.project.gpu_types import has_gpu, has_several_gpus, unusable_gpu
from passerelle.domain.project.instance_types import FILE

#: Suppliers name a GPU by its memory of 1,000-megabyte gigabytes, EC2 by what of it a program sees.
HIDDEN_GPU_MEMORY = 0.08


def test_instances_are_as_ec2_describes_them() -> None:
    known = {item.instance_type.removeprefix("ml."): item for item in instances()}
    told = _described(InstanceTypes=sorted(known))
    assert told.keys() == known.keys()
    for name, item in told.items():
        own = known[name]
        assert own.vcpus == item["VCpuInfo"]["DefaultVCpus"], name
        assert own.memory_gib == item["MemoryInfo"]["SizeInMiB"] / 1024, name
        gpus = item.get("GpuInfo", {}).get("Gpus", [])
        assert [own.gpu] == [gpu["Name"] for gpu in gpus] or (not gpus and not own.gpu), name
        for gpu in gpus:
            seen = gpu["MemoryInfo"]["SizeInMiB"] / 1024
            assert own.gpu_memory_gib == pytest.approx(seen, rel=HIDDEN_GPU_MEMORY), name


def test_of_every_training_type_it_is_known_whether_it_has_a_gpu_and_whether_several() -> None:
    told = _described()
    training = json.loads(FILE.read_text())["training"]
    known = {f"ml.{name}": item for name, item in told.items() if f"ml.{name}" in training}
    assert len(known) > 100
    for name, item in known.items():
        gpus = [gpu for gpu in item.get("GpuInfo", {}).get("Gpus", []) if gpu["Manufacturer"] == "NVIDIA"]
        count = sum(gpu["Count"] for gpu in gpus)
        assert (has_gpu(name), has_several_gpus(name)) == (count > 0, count > 1), name
        if has_gpu(name) and "x86_64" not in item["ProcessorInfo"]["SupportedArchitectures"]:
            assert unusable_gpu(name), name


def _described(**which: Any) -> dict[str, Any]:
    with mock_aws():
        client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        pages = client.get_paginator("describe_instance_types").paginate(**which)
        return {item["InstanceType"]: item for page in pages for item in page["InstanceTypes"]}
