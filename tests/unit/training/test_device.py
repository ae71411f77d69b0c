"""The GPU is used where there is one that XGBoost can use; one that it cannot use is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import xgboost

from training.train.machine import device


@pytest.mark.parametrize(
    ("there", "built_for_cuda", "expected"), [(False, True, "cpu"), (True, True, "cuda"), (True, False, "cpu")]
)
def test_the_gpu_is_used_where_it_is_and_xgboost_can(
    there: bool, built_for_cuda: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    gpu = tmp_path / "nvidia0"
    if there:
        gpu.touch()
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": built_for_cuda})
    assert device(gpu) == expected
    assert ("gpu_not_used" in capsys.readouterr().out) == (there and not built_for_cuda)
