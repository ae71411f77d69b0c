"""The cloud assembly of each environment, synthesised once for a state of the sources: for checks and tests alike."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from checks.outcome import BUILD, ROOT, CheckError, run

FOLDER: Final = BUILD / "assemblies"
FILES: Final = ("app.py", "cdk.json", "package-lock.json", "requirements.txt")
FOLDERS: Final = ("environments", "infra", "lambdas", "passerelle", "projects", "training")
#: Of any state of the sources: longer than a run of all tests, whose first assembly its last test may read, ever takes.
KEPT_SECONDS: Final = 6 * 3_600


def assembly(environment: str, changed: Mapping[str, str] | None = None) -> Path:
    """Return the folder of an environment's assembly; read-only, as others read the same one.

    `changed` gives other text to files of the checkout, such as another configuration of the environment.

    Raises CheckError with the CDK's words when the synthesis fails, rules of cdk-nag included.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".checkout-") as temporary:
        checkout = Path(temporary)
        # A copy: what is synthesised is what was hashed, and .build of this checkout stays as it is.
        _copy(checkout)
        for name, text in (changed or {}).items():
            (checkout / name).write_text(text, encoding="utf-8")
        made = FOLDER / f"{_digest(checkout)}-{environment}"
        with _one_at_a_time(made.with_suffix(".lock")):
            if not made.is_dir():
                _forget_old()
                _synthesise(checkout, environment).rename(made)
    return made


def _copy(checkout: Path) -> None:
    for name in FILES:
        shutil.copy(ROOT / name, checkout / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))


def _digest(checkout: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in checkout.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(checkout).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _synthesise(checkout: Path, environment: str) -> Path:
    # The layer would be downloaded; its content is no matter of the templates.
    layer = checkout / ".build" / "layers" / "arm64"
    (layer / "python").mkdir(parents=True)
    shutil.copy(ROOT / "lambdas" / "requirements.txt", layer / ".lock")
    output = checkout / "cdk.out"
    cdk = ROOT / "node_modules/.bin/cdk"
    code, printed = run([cdk, "synth", "--quiet", "--output", output, "-c", f"env={environment}"], cwd=checkout)
    if code:
        raise CheckError(f"{environment} is not synthesised:\n{printed.strip()}")
    return output


def _forget_old() -> None:
    for path in FOLDER.glob("[0-9a-f]*-*"):
        if path.is_dir() and time.time() - path.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
            path.with_suffix(".lock").unlink(missing_ok=True)


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
