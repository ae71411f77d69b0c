"""Snapshots write MiniStack's own format, only what has changed, and give a costly service more time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict, request_scope

from laptop.ministack.snapshots import Snapshots, _chunks, _encoded, _Saved


def _scoped() -> dict[str, Any]:
    by_account, by_region = AccountScopedDict(), AccountRegionScopedDict()
    with request_scope("000000000000", "us-east-1"):
        by_account["role é"] = {"tags": {"a": "1"}}
        by_region["arn:one"] = {"events": [{"id": 1, "data": b"\x00\xff"}], "none": None, "yes": True}
        by_region[("bucket", "key")] = {}
    return {"by_account": by_account, "by_region": by_region, "numbers": {1: "one", None: "none"}, "empty": {}}


def test_a_state_written_in_pieces_reads_as_one_that_is_written_at_once() -> None:
    state = _scoped()
    text = "".join(_chunks(state, persistence._json_default))
    assert json.loads(text) == json.loads(json.dumps(state, default=persistence._json_default))


def test_ministack_reads_what_a_snapshot_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = _encoded("ssm", _scoped, persistence)
    assert text is not None
    (tmp_path / "ssm.json").write_text(text)
    monkeypatch.setattr(persistence, "PERSIST_STATE", True)
    monkeypatch.setattr(persistence, "STATE_DIR", str(tmp_path))
    loaded = persistence.load_state("ssm")
    with request_scope("000000000000", "us-east-1"):
        assert loaded["by_region"]["arn:one"]["events"] == [{"id": 1, "data": b"\x00\xff"}]
        assert loaded["by_region"][("bucket", "key")] == {}
        assert loaded["by_account"]["role é"] == {"tags": {"a": "1"}}


def test_a_state_that_changes_while_it_is_read_is_read_again() -> None:
    attempts: list[int] = []

    def restless() -> dict[str, Any]:
        attempts.append(1)
        if len(attempts) < 3:
            raise RuntimeError("dictionary changed size during iteration")
        return {"k": "v"}

    assert json.loads(_encoded("ssm", restless, persistence) or "")["payload"] == {"k": "v"}


def test_a_service_that_cannot_be_read_does_not_keep_others_from_being_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ministack.app as app

    def broken() -> dict[str, Any]:
        raise ValueError("no")

    services = {"broken": broken, "ssm": lambda: {"k": "v"}, "empty": lambda: None}
    monkeypatch.setattr(app, "_build_persistence_save_dict", lambda: services)
    Snapshots(tmp_path).save()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ssm.json"]


def test_an_unchanged_state_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ministack.app as app

    state = {"k": "v"}
    monkeypatch.setattr(app, "_build_persistence_save_dict", lambda: {"ssm": lambda: state})
    snapshots = Snapshots(tmp_path)
    snapshots.save()
    (tmp_path / "ssm.json").unlink()
    snapshots._saved["ssm"].cost = 0.0
    snapshots.save()
    assert not (tmp_path / "ssm.json").exists()
    state["k"] = "changed"
    snapshots._saved["ssm"].cost = 0.0
    snapshots.save()
    assert (tmp_path / "ssm.json").exists()


def test_a_service_whose_state_costs_much_is_left_alone_for_a_while_but_never_for_long() -> None:
    saved = _Saved(moment=100.0, cost=0.12)
    assert not saved.due(103.9)
    assert saved.due(104.1)
    slow = _Saved(moment=100.0, cost=20.0)
    assert not slow.due(109.0)
    assert slow.due(110.0)
    assert _Saved().due(0.0)
