"""Backup, restore and redeploy as commands: what they refuse, and that their page says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import COMMANDS, cli
from cli.recovery import copy_database, need_database
from cli.session import Session
from passerelle.aws.runs_table import RunsTable
from passerelle.contracts.backup import BackupIndex, DatabaseCopy
from passerelle.contracts.runs import RunRecord, StageRecord
from passerelle.errors import InputError, NotFoundError, SettingsError
from passerelle.steps.serve_again import deployment_request

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
ON_AWS = ("dev", "staging", "prod")


def _index(database: DatabaseCopy) -> BackupIndex:
    return BackupIndex(
        id="b1",
        status="complete",
        created_at="2026-01-01",
        environment="dev",
        account="1",
        region="us-east-1",
        database=database,
    )


def test_on_aws_nothing_is_restored_before_the_database_was_made_from_its_snapshot() -> None:
    index = _index(DatabaseCopy(kind="snapshot", snapshot_arn="arn:aws:rds:us-east-1:1:snapshot:s"))
    with pytest.raises(InputError, match=r"snapshot:s\. .*tracking\.restore_from_snapshot .*environments/dev\.yaml"):
        need_database(Session("dev"), index, already=False)
    need_database(Session("dev"), index, already=True)


class Platform:
    """A deployed environment that names only what it is told to."""

    def __init__(self, **found: str) -> None:
        self._found = found

    def resource(self, name: str) -> str:
        if name not in self._found:
            raise SettingsError(name)
        return self._found[name]


def _session(monkeypatch: pytest.MonkeyPatch, **found: str) -> Session:
    monkeypatch.setattr(Session, "platform", Platform(**found))
    return Session("dev")


def test_an_environment_whose_mlflow_is_elsewhere_is_backed_up_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = _session(monkeypatch)
    assert copy_database(session, "b1", tmp_path / "dump", lambda *_: None).kind == "none"
    assert "back its database up there" in capsys.readouterr().out


def test_a_database_that_an_earlier_release_deployed_is_not_left_out_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = _session(monkeypatch, **{"tracking-cluster": "c"})
    with pytest.raises(SettingsError, match="Deploy it, then back up again"):
        copy_database(session, "b1", tmp_path / "dump", lambda *_: None)


# What is served again


def _record(run_id: str, version: str, gate: str) -> RunRecord:
    train = StageRecord(stage="train", status="done", started_at="2026-01-01", job_name=f"churn-{run_id}-train-1-t2")
    return RunRecord(
        project="churn",
        run_id=run_id,
        attempt=1,
        status="succeeded" if gate == "passed" else "refused",
        created_at="2026-01-01",
        updated_at="2026-01-01",
        stages=(train,),
        gate={"status": gate},
        model_version=version,
    )


class Table(RunsTable):
    """A table with three runs, the second of which is served."""

    def __init__(self, champion: dict[str, Any] | None) -> None:
        self._champion = champion

    def item(self, project: str, sort_key: str) -> dict[str, Any] | None:
        return self._champion

    def newest(self, project: str, *, limit: int = 20) -> list[RunRecord]:
        return [_record("r3", "3", "refused"), _record("r2", "2", "passed"), _record("r1", "1", "passed")]


SERVED = {"model_version": "2", "model_data_url": "s3://models/where/it/lies.tar.gz"}


def test_the_version_that_was_served_last_is_served_from_where_it_lies() -> None:
    request = deployment_request(Table(SERVED), "models", "churn", None)
    assert request == {
        "project": "churn",
        "run_id": "r2",
        "attempt": 1,
        "model_version": "2",
        "model_data_url": "s3://models/where/it/lies.tar.gz",
    }


def test_an_earlier_version_is_served_from_the_last_job_that_trained_it() -> None:
    request = deployment_request(Table(SERVED), "models", "churn", "1")
    assert request["model_data_url"] == "s3://models/churn/training/churn-r1-train-1-t2/output/model.tar.gz"


def test_what_the_gate_refused_and_what_there_is_not_are_not_served() -> None:
    with pytest.raises(InputError, match="gate refused version 3"):
        deployment_request(Table(SERVED), "models", "churn", "3")
    with pytest.raises(NotFoundError, match=r"no registered version 9; newest: 3 \(run r3\), 2 \(run r2\)"):
        deployment_request(Table(SERVED), "models", "churn", "9")
    with pytest.raises(NotFoundError, match="served no model yet"):
        deployment_request(Table(None), "models", "churn", None)


# The page


def test_every_command_of_the_page_exists() -> None:
    named = re.findall(r"passerelle (?:--env \w+ )?([a-z]+)", "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.S)))
    assert {"backup", "restore", "status", "runs", "predict"} <= set(named)
    assert set(named) <= set(COMMANDS)
    for command in ("backup", "restore", "redeploy"):
        found = cli.get_command(None, command)  # type: ignore[arg-type]
        assert found
        known = {option for parameter in found.params for option in parameter.opts}
        for option in re.findall(rf"passerelle (?:--env \w+ )?{command}\b[^\n`]*?(--[a-z-]+)", PAGE):
            assert option in known


def _row(begins: str) -> list[str]:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {begins}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:4]


def test_the_pages_days_are_those_of_the_environments_files() -> None:
    for name, days, objects, others in zip(
        ON_AWS,
        _row("MLflow's database, within"),
        _row("raw files and models"),
        _row("curated, quarantine"),
        strict=True,
    ):
        document = yaml.safe_load((ROOT / "environments" / f"{name}.yaml").read_text())
        kept = {zone: item["noncurrent_days"] for zone, item in document["data"]["lifecycle"].items()}
        assert days == f"{document['tracking'].get('backup_days', 7)} days"
        assert {kept["raw"], kept["models"]} == {int(objects.split()[0])}
        assert {kept[zone] for zone in ("curated", "quarantine", "predictions")} == {int(others.split(";")[0])}
        assert kept["reports"] == int(others.split(";")[1].split()[0])


def test_the_operations_page_leads_here() -> None:
    assert "](recovery.md)" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
