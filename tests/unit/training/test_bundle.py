"""Bundles hold no pickle, load only what is on the allow-list, and notice every change."""

from __future__ import annotations

import json
import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer

from passerelle.contracts.bundle import TaskType
from passerelle.domain.candidates.frame import typed_frame
from passerelle.errors import BundleError
from tests.serving import INPUTS, make_bundle, rows_of
from training.bundle import load_bundle, write_bundle
from training.train.predict import predict

CANDIDATES = ("baseline", "logistic", "random_forest", "hist_gradient_boosting", "xgboost")


def is_pickle(body: bytes) -> bool:
    try:
        names = [operation.name for operation, _, _ in pickletools.genops(body)]
    except Exception:
        return False
    return names[:1] == ["PROTO"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("candidate", CANDIDATES)
def test_every_candidate_survives_its_bundle_bit_for_bit_without_pickle(
    tmp_path: Path, task: TaskType, candidate: str
) -> None:
    name = "linear" if task == "regression" and candidate == "logistic" else candidate
    bundle = make_bundle(task, tmp_path, candidate=name)
    frame = typed_frame(rows_of(300, seed=99) | {"carrier": ["never seen"] * 300}, INPUTS)
    first, again = predict(bundle.pipeline, frame, task), predict(load_bundle(tmp_path).pipeline, frame, task)
    np.testing.assert_array_equal(first.predictions, again.predictions)
    assert set(first.predictions) <= {"early", "late", "on time"} or task != "multiclass"
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    for member, body in members.items():
        assert not is_pickle(body), member
        if member.endswith(".npy"):
            assert b"'|O'" not in body[:128], f"{member} is an object array, which numpy stores as pickle"


def test_a_type_off_the_allow_list_is_never_shipped(tmp_path: Path) -> None:
    bundle = make_bundle("binary", tmp_path / "good", candidate="logistic")
    foreign = FunctionTransformer(func=pd.io.common.get_handle).fit(np.zeros((2, 1)))
    with pytest.raises(BundleError, match="not on the allow-list"):
        write_bundle(
            tmp_path / "bad",
            pipeline=foreign,
            signature=bundle.signature,
            example=bundle.example,
            profile=bundle.profile,
            metadata=bundle.metadata,
        )


class Exploit:
    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__, (self.target,))


def test_a_pickle_in_the_place_of_the_model_is_refused_even_with_a_right_digest(tmp_path: Path) -> None:
    import hashlib

    make_bundle("binary", tmp_path, candidate="logistic")
    body = pickle.dumps(Exploit(tmp_path / "x"))
    (tmp_path / "model.skops").write_bytes(body)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["files"]["model.skops"] = hashlib.sha256(body).hexdigest()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not a readable skops file"):
        load_bundle(tmp_path)


@pytest.mark.parametrize("name", ["model.skops", "signature.json", "metadata.json", "profile.json"])
def test_one_changed_byte_in_any_file_is_noticed(tmp_path: Path, name: str) -> None:
    make_bundle("binary", tmp_path, candidate="baseline")
    body = bytearray((tmp_path / name).read_bytes())
    body[len(body) // 2] ^= 1
    (tmp_path / name).write_bytes(body)
    with pytest.raises(BundleError, match=name):
        load_bundle(tmp_path)
