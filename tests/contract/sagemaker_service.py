"""A local SageMaker of one's own, with a folder as S3 and a script as its only image."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from laptop.sagemaker.api import SageMaker
from laptop.settings import LaptopSettings
from tests.contract.sagemaker_requests import IMAGE
from tests.fakes.surroundings import QuietSurroundings

CONTAINER: Final = Path(__file__).resolve().parents[1] / "fakes" / "container.py"


class Own:
    """The service, its S3 and what it emitted; `reopen` is a restart of the platform."""

    def __init__(self, home: Path, **settings: Any) -> None:
        images = {"script": (sys.executable, str(CONTAINER)), **settings.pop("images", {})}
        self.settings = LaptopSettings(home=home, images=images, **{"stop_grace_seconds": 1.0, **settings})
        self.open()

    def open(self, *, start: bool = True) -> None:
        self.around = QuietSurroundings(self.settings.home / "s3")
        self.sagemaker = SageMaker(self.settings, self.around)
        self.call = self.sagemaker.call
        if start:
            self.sagemaker.start()

    def reopen(self) -> None:
        self.sagemaker.close()
        self.open()

    def put(self, uri: str, text: str) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.around.bucket.put_object(Bucket=bucket, Key=key, Body=text.encode())

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.around.bucket.path(bucket, key).read_bytes()

    def ended(self, kind: str, name: str) -> dict[str, Any]:
        """Wait for a job's final status."""
        describe = lambda: self.call(f"Describe{kind}", {f"{kind}Name": name})  # noqa: E731
        wait_for(lambda: describe()[f"{kind}Status"] in ("Completed", "Failed", "Stopped"))
        return describe()


def scripted(folder: Path, code: str, **algorithm: Any) -> dict[str, Any]:
    """Return the AlgorithmSpecification of a training job that runs this Python code."""
    path = folder / "container.py"
    path.write_text(code)
    specification = {"TrainingImage": IMAGE, "TrainingInputMode": "File", "ContainerEntrypoint": ["python", str(path)]}
    return {"AlgorithmSpecification": specification | algorithm}


def wait_for(condition: Callable[[], Any], seconds: float = 300.0) -> Any:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return value


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    service = Own(tmp_path)
    yield service
    service.sagemaker.close()
