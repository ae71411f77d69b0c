"""What an environment may say of data at rest: values that would lose data or cost too much are refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from infra import config as subject
from infra.config_slots import Data

DATA: dict[str, Any] = yaml.safe_load((subject.FOLDER / "prod.yaml").read_text())["data"]


def _with(zone: str, **lifecycle: int) -> dict[str, Any]:
    return {**DATA, "lifecycle": {**DATA["lifecycle"], zone: {"noncurrent_days": 30, **lifecycle}}}


@pytest.mark.parametrize("zone", ["raw", "curated", "models"])
def test_what_later_runs_read_again_never_expires(zone: str) -> None:
    with pytest.raises(ValidationError, match=f"{zone}.expire_days: later runs read this zone again"):
        Data.model_validate(_with(zone, expire_days=90))
    assert Data.model_validate(_with("reports", expire_days=90)).lifecycle["reports"].expire_days == 90


def test_every_zone_has_its_lifecycle_and_no_other() -> None:
    lifecycle = {("scratch" if name == "reports" else name): value for name, value in DATA["lifecycle"].items()}
    with pytest.raises(ValidationError, match="missing reports, unknown scratch"):
        Data.model_validate({**DATA, "lifecycle": lifecycle})


@pytest.mark.parametrize("limit", [0, 0.009, -1])
def test_athenas_least_limit_is_ten_megabytes(limit: float) -> None:
    with pytest.raises(ValidationError, match="athena_scan_limit_gb"):
        Data.model_validate({**DATA, "athena_scan_limit_gb": limit})
