"""Environments, projects and findings for the tests of `passerelle doctor --env`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from passerelle.domain.preflight import Finding, environment
from passerelle.domain.project import Project, load_project

ROOT = Path(__file__).resolve().parents[3]
CERTIFICATE = "arn:aws:acm:{}:123456789012:certificate/11111111-2222-3333-4444-555555555555"


def given(**changes: Any) -> environment.Environment:
    fields = {
        "name": "dev", "account": "123456789012", "region": "us-east-1", "prepare_instance_type": "ml.m5.large",
        "images": {"source": "codebuild"}, "projects": ["flights"],
        "network": {"egress": "public-egress", "cidr": "10.60.0.0/20", "zones": ["a", "b"]},
        "tracking": {"cpu": 512, "memory_mib": 1024, "database_instance": "t4g.micro"},
    }  # fmt: skip
    return environment.Environment.model_validate(fields | changes)


def tracking(**changes: Any) -> dict[str, Any]:
    return {"cpu": 512, "memory_mib": 1024, "database_instance": "t4g.micro", **changes}


def project(name: str = "flights", *, budget: float = 100, training: Any = None, serving: Any = None) -> Project:
    path = ROOT / "projects/flights/project.yaml"
    flights = load_project(path.read_text(), source=str(path)).model_dump(mode="json")
    flights |= {"name": name, "budget": flights["budget"] | {"monthly_usd": budget}}
    flights["training"] |= training or {}
    flights["serving"] = {"profile": "real-time"} | (serving or {})
    return Project.model_validate(flights)


def one(findings: Iterable[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found
