"""The instances that `passerelle advise` chooses from have the cores, memory and GPUs that EC2 says they have."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from passerelle.domain.cost.instances import instances

#: Suppliers name a GPU by its memory of 1,000-megabyte gigabytes, EC2 by what of it a program sees.
HIDDEN_GPU_MEMORY = 0.08


def test_instances_are_as_ec2_describes_them() -> None:
    known = {item.instance_type.removeprefix("ml."): item for item in instances()}
    with mock_aws():
        client = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        pages = client.get_paginator("describe_instance_types").paginate(InstanceTypes=sorted(known))
        told = {item["InstanceType"]: item for page in pages for item in page["InstanceTypes"]}
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
