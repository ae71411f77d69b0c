"""What MLflow is to show of a candidate is the same whichever process writes it, and what fails there fails the job."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import training
from tests.unit.training.fitting import make_context, make_project
from training.bundle import Bundle
from training.train.artifacts import MANY_ROWS, Artifacts
from training.train.candidate import train_candidate
from training.train.context import Context

#: Their names or content tell when they were written, or where in memory what they hold was.
VOLATILE = ("MLmodel", "model.skops")
KILLED = """
import os, signal
from pathlib import Path
from training.train.artifacts import Artifacts

if __name__ == "__main__":
    artifacts = Artifacts(Path("."), beside=True).__enter__()
    artifacts._unwritten[0].result()
    print("it has begun", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def context() -> Context:
    return make_context(make_project("multiclass"))


def write(context: Context, folder: Path, *, beside: bool, names: tuple[str, ...] = ("baseline", "logistic")) -> Path:
    with Artifacts(folder / "output", beside=beside) as artifacts:
        for name in names:
            bundle, result, predicted = train_candidate(name, 1, context, folder / name)
            artifacts.write(bundle, folder / name, result, predicted, context)
    return folder / "output"


def test_a_process_beside_the_fits_writes_the_same_files(context: Context, tmp_path: Path) -> None:
    here = write(context, tmp_path / "here", beside=False)
    beside = write(context, tmp_path / "beside", beside=True)
    names = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(beside)) for path in beside.rglob("*") if path.is_file())
    assert "candidates/logistic/plots/roc.png" in names
    for name in names:
        if not name.endswith(VOLATILE):
            assert (here / name).read_bytes() == (beside / name).read_bytes(), name
    moments = re.compile(r"^(utc_time_created|model_uuid|model_id):.*$", re.MULTILINE)
    told = [moments.sub("", (each / "candidates/logistic/model/MLmodel").read_text()) for each in (here, beside)]
    assert told[0] == told[1]


def test_what_cannot_be_written_beside_the_fits_fails_the_job(context: Context, tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the folder is to be")
    with pytest.raises(NotADirectoryError):
        write(context, tmp_path, beside=True, names=("baseline",))


def test_a_job_that_was_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(Path(training.__file__).parent.parent)}
    # Ends when nothing is left that holds standard output.
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "it has begun\n"), done.stderr


def test_only_a_job_with_many_rows_starts_another_process(context: Context, tmp_path: Path) -> None:
    assert len(context.train.labels) < MANY_ROWS
    with Artifacts.of(tmp_path, context) as artifacts:
        bundle, result, predicted = train_candidate("baseline", 1, context, tmp_path / "baseline")
        assert isinstance(bundle, Bundle)
        artifacts.write(bundle, tmp_path / "baseline", result, predicted, context)
        assert (tmp_path / result.directory / "metrics.json").is_file()
