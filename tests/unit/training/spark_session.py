"""One Spark on this machine's cores for a test module: it takes ten seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from training.prepare.java import java_home
from training.prepare.spark import local_session


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Spark with the Java from PyPI, whatever else is installed."""
    spill: Path = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home(spill)))
        session = local_session(spill, cores="2")
        yield session
        session.stop()
