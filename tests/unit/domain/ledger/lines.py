"""A line of the ledger for tests to change."""

from __future__ import annotations

from passerelle.contracts.ledger import Charge


def charge(**other: object) -> Charge:
    values: dict[str, object] = {
        "id": "a" * 32,
        "charge_start": "2026-11-21T05:00:00Z",
        "charge_end": "2026-11-21T06:00:00Z",
        "project": "flights",
        "cost_centre": "cc-1",
        "environment": "dev",
        "stage": "train",
        "resource_type": "training-job",
        "resource_id": "arn:aws:sagemaker:us-east-1:123456789012:training-job/j",
        "resource_name": "j",
        "service": "SageMaker Training",
        "region": "us-east-1",
        "sku": "ml.m5.large",
        "unit": "instance-hour",
        "quantity": 1.0,
        "unit_price_usd": 0.115,
        "usd": 0.115,
        "on_demand_quantity": 1.0,
        "on_demand_usd": 0.115,
        "basis": "3,600 s",
    }
    return Charge.model_validate(values | other)
