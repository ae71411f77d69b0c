"""What survives a spot interruption: finished candidates, each a folder that appears whole or not at all, and fits."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from passerelle.contracts.container import CandidateResult
from passerelle.domain.project.metric_names import OWN
from passerelle.errors import BundleError
from training.bundle import Bundle, load_bundle
from training.train.fit_checkpoint import FitCheckpoint
from training.train.kept import Kept

CODE_VERSION = 2


def checkpoint_key(**identity: Any) -> str:
    """Return what a checkpoint must have been made from to be of use: code version, dataset, contract, seed."""
    return hashlib.sha256(json.dumps({"code": CODE_VERSION, **identity}, sort_keys=True).encode()).hexdigest()[:16]


class Checkpoints:
    """The candidates that an interrupted attempt has finished, and the fit that it was at."""

    def __init__(self, folder: Path, key: str, *, project_code: bool = False) -> None:
        self._folder, self._key, self._project_code = folder, key, project_code
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, bundle_folder: Path, result: CandidateResult) -> None:
        """Keep a finished candidate: its bundle folder and its result."""
        target = self._folder / result.name
        partial = self._folder / f".{result.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(bundle_folder, partial / "bundle")
        state = {"key": self._key, "result": result.model_dump(mode="json")}
        (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        self._fit_file(result.name).unlink(missing_ok=True)

    def load(self, name: str) -> tuple[Bundle, CandidateResult] | None:
        """Return a finished candidate, None when there is none of use.

        A corrupt checkpoint, or one of other code or data, is told and passed over: the candidate is trained anew.
        """
        folder = self._folder / name
        if not folder.is_dir():
            return None
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            if state["key"] != self._key:
                raise BundleError("it was made by other code, or from other data")
            result = CandidateResult.model_validate(state["result"])
            return load_bundle(folder / "bundle", project_code=self._project_code and result.kind == OWN), result
        except (BundleError, OSError, ValueError, KeyError, TypeError) as error:
            print(f"Checkpoint of {name} is not used: {error}; it is trained again from the start.", flush=True)
            return None

    def fit(self, label: str, *, every_seconds: float, **identity: Any) -> FitCheckpoint:
        """Return where a candidate's fit under way is kept; `identity` is what its model depends on beside the job."""
        key = checkpoint_key(job=self._key, label=label, **identity)
        return FitCheckpoint(self._fit_file(label), label, key, every_seconds)

    def kept(self, label: str, what: str, **identity: Any) -> Kept:
        """Return where something under way is kept as JSON; `identity` is what it depends on beside the job."""
        key = checkpoint_key(job=self._key, label=label, **identity)
        return Kept(self._folder / "under-way" / f"{label}.json", key, what)

    def _fit_file(self, label: str) -> Path:
        return self._folder / "under-way" / f"{label}.fit"

    def bundle_folder(self, name: str) -> Path:
        """Return where a finished candidate's bundle lies."""
        return self._folder / name / "bundle"
