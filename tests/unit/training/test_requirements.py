"""Both training images hold the same packages, at the same versions: they differ in how XGBoost is built."""

from __future__ import annotations

import re
from pathlib import Path

TRAINING = Path(__file__).parents[3] / "training"
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M)


def locked(name: str) -> dict[str, tuple[str, str]]:
    """Return each package's version and hashes."""
    text = (TRAINING / name).read_text()
    found = {package: (version, hashes) for package, version, hashes in PINNED.findall(text)}
    assert len(found) == len(re.findall("^[a-z0-9]", text, re.M)), "a line without a version and its hashes"
    return found


def test_the_images_differ_in_nothing_but_the_build_of_xgboost() -> None:
    plain, gpu = locked("requirements.txt"), locked("requirements-gpu.txt")
    assert len(plain.keys() & gpu.keys()) > 80
    assert {name for name in plain.keys() & gpu.keys() if plain[name] != gpu[name]} == set()
    assert plain.keys() - gpu.keys() == {"xgboost-cpu"}
    assert gpu.keys() - plain.keys() == {"xgboost", "nvidia-nccl-cu12"}
    assert plain["xgboost-cpu"][0] == gpu["xgboost"][0]
