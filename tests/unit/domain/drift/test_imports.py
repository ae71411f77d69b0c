"""What a function that judges windows imports as it starts: NumPy, and nothing else that takes long."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: pandas and pyarrow are imported by whoever has frames; msgspec and pydantic by contracts that drift only names.
DEAR = {"scipy", "sklearn", "pandas", "pyarrow", "pydantic", "msgspec", "yaml", "passerelle.contracts.bundle"}


@pytest.mark.parametrize(
    "module",
    [
        "passerelle.domain.drift.judged",
        "passerelle.domain.drift.estimated",
        "passerelle.domain.drift.model_monitor",
        "passerelle.domain.drift.page",
        "passerelle.domain.monitoring.incidents",
    ],
)
def test_what_judges_windows_imports_numpy_and_nothing_dearer(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(found.stdout.split())
    assert loaded.isdisjoint(DEAR)
    assert "numpy" in loaded
