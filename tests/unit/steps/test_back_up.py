"""A backup and its restoration between two sets of versioned buckets and two tables, with other names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from passerelle.aws.backup_store import BackupStore, BucketStore, FolderStore
from passerelle.contracts.backup import BackupIndex, DatabaseCopy
from passerelle.contracts.runs import RunRecord
from passerelle.errors import BundleError, InputError, NotFoundError, SettingsError
from passerelle.steps.back_up import BackedUp, Place, back_up
from passerelle.steps.check_backup import choose, read_manifest, verify
from passerelle.steps.restore_environment import Journal, need_restorable, restore_data
from tests.unit.steps.environments import PROJECT, Make, environments, fill, put_item, put_object


@pytest.fixture
def make() -> Iterator[Make]:
    """Return a function that makes an empty environment whose names begin with a word."""
    with environments() as environment:
        yield environment


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "backups")


def _back_up(place: Place, store: BackupStore) -> BackedUp:
    def dump(name: str, path: Path) -> DatabaseCopy:
        path.write_bytes(b"dump")
        return DatabaseCopy(kind="dump", schema_revision="r")

    return back_up(place, store, dump, lambda stage, done, total: None)


def _restore(place: Place, store: BackupStore, index: BackupIndex) -> dict[str, dict[str, Any]]:
    restore_data(index, place, store, lambda stage, done, total: None, fresh=True)
    return {item["sk"]["S"]: item for item in place.items.all()}


def _bodies(place: Place, zone: str) -> dict[str, bytes]:
    s3, bucket = place.clients("s3"), place.buckets[zone]
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
    return {item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed}


def test_claimed_versions_come_back_in_their_order_and_the_table_names_their_new_ids(
    make: Make, store: FolderStore
) -> None:
    old, new = make("old"), make("new")
    versions = fill(old)
    items = _restore(new, store, _back_up(old, store).index)
    s3, bucket = new.clients("s3"), new.buckets["raw"]
    assert _bodies(new, "raw") == {"churn/a.csv": b"two", "churn/unclaimed.csv": b"four", "churn/twice.csv": b"five"}
    claims = [item for name, item in items.items() if name.startswith("DROP#")]
    found = {
        s3.get_object(Bucket=bucket, Key=claim["key"]["S"], VersionId=claim["version_id"]["S"])["Body"].read()
        for claim in claims
    }
    assert found == {b"one", b"two", b"three"}
    assert {claim["bucket"]["S"] for claim in claims} == {bucket}
    assert not {claim["version_id"]["S"] for claim in claims} & set(versions.values())
    latest = s3.head_object(Bucket=bucket, Key="churn/a.csv")["VersionId"]
    assert json.loads(items["FILE#churn/a.csv"]["file"]["S"])["version_id"] == latest
    record = RunRecord.model_validate_json(items["RUN#r1"]["record"]["S"])
    assert record.files[0].version_id == latest
    assert record.quarantine_uri == "s3://new-quarantine/churn/runs/r1"
    assert record.mlflow_url == "http://new:5000/#/experiments/1"
    assert items["CHAMPION"]["model_data_url"]["S"] == "s3://new-models/churn/model.tar.gz"


def test_an_object_keeps_its_type_and_metadata(make: Make, store: FolderStore) -> None:
    old, new = make("old"), make("new")
    fill(old)
    _restore(new, store, _back_up(old, store).index)
    head = new.clients("s3").head_object(Bucket="new-models", Key="churn/model.tar.gz")
    assert (head["ContentType"], head["Metadata"]["who"]) == ("application/gzip", "train")


def test_a_run_at_work_comes_back_as_failed_and_its_lock_and_batch_not_at_all(make: Make, store: FolderStore) -> None:
    old, new = make("old"), make("new")
    fill(old)
    made = _back_up(old, store)
    assert made.index.running == ("r2",)
    items = _restore(new, store, made.index)
    record = RunRecord.model_validate_json(items["RUN#r2"]["record"]["S"])
    assert record.status == "failed"
    assert record.error
    assert "runs retry" in record.error.remedy
    assert not {"LOCK", "OPEN"} & set(items)


def test_in_another_account_the_image_that_is_deployed_there_serves(make: Make, store: FolderStore) -> None:
    old, new = make("old"), make("new")
    fill(old)
    index = _back_up(old, store).index
    same = RunRecord.model_validate_json(_restore(new, store, index)["RUN#r1"]["record"]["S"])
    assert same.image_uri is not None
    moved = index.model_copy(update={"account": "999999999999"})
    assert RunRecord.model_validate_json(_restore(new, store, moved)["RUN#r1"]["record"]["S"]).served_by is None


def test_restoring_again_writes_no_object_a_second_time(make: Make, store: FolderStore) -> None:
    old, new = make("old"), make("new")
    fill(old)
    index = _back_up(old, store).index
    first = _restore(new, store, index)
    count = len(new.clients("s3").list_object_versions(Bucket="new-raw")["Versions"])
    assert _restore(new, store, index) == first
    assert len(new.clients("s3").list_object_versions(Bucket="new-raw")["Versions"]) == count


def test_a_restore_killed_between_objects_ends_the_same_when_it_is_run_again(
    make: Make, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, other = make("old"), make("new"), make("other")
    fill(old)
    index = _back_up(old, store).index
    put, calls = type(new.items).put, []

    def dies(self: Any, items: Any) -> None:
        calls.append(items)
        if len(calls) == 3:
            raise KeyboardInterrupt
        put(self, items)

    with monkeypatch.context() as patch:
        patch.setattr(type(new.items), "put", dies)
        with pytest.raises(KeyboardInterrupt):
            _restore(new, store, index)
    again, straight = _restore(new, store, index), _restore(other, store, index)
    assert {name for name in again if "DROP" not in name} == {name for name in straight if "DROP" not in name}
    assert len(again) == len(straight)
    assert _bodies(new, "raw") == _bodies(other, "raw")
    assert len(new.clients("s3").list_object_versions(Bucket="new-raw")["Versions"]) == 5


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_what_an_earlier_backup_has_is_not_copied_again(make: Make, tmp_path: Path, kind: str) -> None:
    old = make("old")
    fill(old)
    old.clients("s3").create_bucket(Bucket="backups")
    place: BackupStore = FolderStore(tmp_path / "b")
    if kind == "bucket":
        place = BucketStore(old.clients("s3"), "s3://backups/dev")
    assert _back_up(old, place).copied == 6
    put_object(old, "reports", "churn/report.json", b"{}")
    again = _back_up(old, place)
    assert (again.copied, again.copied_bytes) == (1, 2)
    index = choose(place, None)
    assert verify(place, index, lambda done, total: None) == 7 + len(index.parts)


def test_a_version_that_no_run_has_claimed_is_not_kept(make: Make, store: FolderStore) -> None:
    old = make("old")
    fill(old)
    index = _back_up(old, store).index
    entries = read_manifest(store, index.id, "raw")
    assert [entry.key for entry in entries].count("churn/twice.csv") == 1
    assert [entry.sha256 is None for entry in entries if entry.key == "churn/b.csv"] == [False, True]


def test_an_interrupted_backup_is_never_chosen(make: Make, store: FolderStore) -> None:
    old = make("old")
    fill(old)

    def stops(name: str, path: Path) -> DatabaseCopy:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(old, store, stops, lambda stage, done, total: None)
    with pytest.raises(InputError, match=r"incomplete.*back up again"):
        choose(store, None)


@pytest.mark.parametrize("name", ["items.jsonl", "objects/raw.jsonl", "database.dump", "backup.json", "blob"])
def test_every_damaged_or_missing_file_is_named(make: Make, tmp_path: Path, name: str) -> None:
    old, store = make("old"), FolderStore(tmp_path / "b")
    fill(old)
    index = _back_up(old, store).index
    blob = next((tmp_path / "b" / "objects").glob("??/*"))
    path = blob if name == "blob" else tmp_path / "b" / index.id / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"dev", b"pro", 1) if name == "backup.json" else whole[:-1] + b"!")
    with pytest.raises(BundleError, match=f"{path} is damaged"):
        verify(store, choose(store, None), lambda done, total: None)
    if name != "backup.json":
        path.unlink()
        with pytest.raises(BundleError, match=f"{path} is missing"):
            verify(store, choose(store, None), lambda done, total: None)


def test_an_environment_in_use_is_restored_only_when_told_to_and_forgets_later_runs(
    make: Make, store: FolderStore
) -> None:
    old, new = make("old"), make("new")
    fill(old)
    index = _back_up(old, store).index
    journal = Journal(ssm=new.clients("ssm"), environment="dev")
    assert need_restorable(index, new, [PROJECT], journal, overwrite=False) is None
    put_item(new, "RUN#later", record="{}")
    with pytest.raises(InputError, match="--overwrite"):
        need_restorable(index, new, [PROJECT], journal, overwrite=False)
    assert need_restorable(index, new, [PROJECT], journal, overwrite=True) is None
    assert "RUN#later" not in _restore(new, store, index)
    journal.write(index.id, "data")
    assert need_restorable(index, new, [PROJECT], journal, overwrite=False) == "data"
    with pytest.raises(SettingsError, match="not deployed here: churn"):
        need_restorable(index, new, [], journal, overwrite=False)
    with pytest.raises(InputError, match="is of environment 'prod'"):
        need_restorable(index.model_copy(update={"environment": "prod"}), new, [PROJECT], journal, overwrite=False)


def test_a_record_with_fields_of_a_newer_release_is_refused_with_the_run(make: Make, store: FolderStore) -> None:
    old, new = make("old"), make("new")
    fill(old)
    put_item(old, "RUN#r3", record=json.dumps({"project": PROJECT, "invented_later": 1}))
    index = _back_up(old, store).index
    with pytest.raises(InputError, match=r"RUN#r3 of project churn .* newer one"):
        _restore(new, store, index)
    assert new.items.is_empty()


def test_a_backup_that_is_not_there_is_answered_with_those_that_are(make: Make, tmp_path: Path) -> None:
    old, store = make("old"), FolderStore(tmp_path / "b")
    with pytest.raises(NotFoundError, match="none"):
        choose(store, None)
    index = _back_up(old, store).index
    with pytest.raises(NotFoundError, match=index.id):
        choose(store, "b1")
