"""checkov over the templates of all environments, offline, in an environment of its own: it pins a hundred packages."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from checks.outcome import BIN, BUILD, ENVIRONMENTS, CheckError, Outcome, run

LOCK: Final = Path(__file__).with_name("requirements.txt")
EXCEPTIONS: Final = Path(__file__).with_name("checkov.yaml")
INSTALLED: Final = BUILD / "checkov"
REMEDY: Final = "Change the resource, or write the exception with its reason and link into checks/checkov.yaml."
#: Checkov asks PyPI for its newest version, and a platform of its vendor where it finds a key: neither may be reached.
NOWHERE: Final = "http://127.0.0.1:9"
OFFLINE: Final = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE) | {
    "BC_API_KEY": "",
    "LOG_LEVEL": "ERROR",
}


class Allowed(BaseModel):
    """Findings of one check that are meant to be so, by resource: `environment/type.logical id`, with wildcards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str = Field(pattern=r"^CKV2?_[A-Z0-9]+_\d+$")
    resources: tuple[str, ...] = Field(min_length=1)
    reason: str = Field(min_length=20)
    link: str = Field(pattern=r"^https://")


def check_checkov(assembly: Callable[[str], Path]) -> Outcome:
    """Judge every template; an exception that nothing needs is a problem too."""
    # Checkov looks for keys in its files' own paths, too: 40 letters on end are one, so names are short and broken up.
    with tempfile.TemporaryDirectory(prefix="checkov-") as folder:
        for name in ENVIRONMENTS:
            (Path(folder) / name).mkdir()
            for number, template in enumerate(sorted(assembly(name).glob("*.template.json"))):
                shutil.copy(template, Path(folder) / name / f"stack-{number}.template.json")
        report = scan(Path(folder))
    summary = report["summary"]
    problems = tuple(faults(report["results"]["failed_checks"], load_exceptions()))
    return Outcome(f"{summary['resource_count']} resources, {summary['passed']} rules passed", problems, REMEDY)


def load_exceptions(path: Path = EXCEPTIONS) -> tuple[Allowed, ...]:
    """Return the exceptions; a pydantic error names the field of one that has no reason or link."""
    return TypeAdapter(tuple[Allowed, ...]).validate_python(yaml.safe_load(path.read_text("utf-8")))


def scan(folder: Path) -> dict[str, Any]:
    """Return checkov's report of the templates below a folder.

    Raises CheckError when checkov cannot be installed, or could not read a template.
    """
    _install()
    command: list[str | Path] = [
        INSTALLED / "bin/python", "-m", "checkov.main", "--directory", ".", "--framework", "cloudformation",
        "--skip-download", "--compact", "--quiet", "--soft-fail", "--output", "json",
    ]  # fmt: skip
    code, printed = run(command, cwd=folder, environ=OFFLINE)
    try:
        report: dict[str, Any] = json.loads(printed[printed.index("{") :])
    except ValueError as error:
        raise CheckError(f"checkov answered {code}:\n{printed[-2_000:]}") from error
    if code or not report.get("summary", {}).get("resource_count") or report["summary"]["parsing_errors"]:
        raise CheckError(f"checkov did not read every template ({code}): {json.dumps(report)[:2_000]}")
    return report


def faults(failed: Sequence[dict[str, Any]], exceptions: Sequence[Allowed]) -> Iterator[str]:
    """Yield findings that no exception covers, then patterns that cover none."""
    used: set[tuple[str, str]] = set()
    for item in failed:
        place = f"{Path(item['file_path']).parent.name}/{item['resource']}"
        covered = {
            (entry.check, pattern)
            for entry in exceptions
            for pattern in entry.resources
            if entry.check == item["check_id"] and fnmatchcase(place, pattern)
        }
        used |= covered
        if not covered:
            yield f"{item['check_id']} {place}: {item['check_name']}"
    for entry in exceptions:
        for pattern in entry.resources:
            if (entry.check, pattern) not in used:
                yield f"{EXCEPTIONS.name}: nothing needs the exception {entry.check} for {pattern}"


def _install() -> None:
    mark = INSTALLED / ".lock"
    if mark.is_file() and mark.read_bytes() == LOCK.read_bytes():
        return
    shutil.rmtree(INSTALLED, ignore_errors=True)
    code, printed = run([BIN / "uv", "venv", "--quiet", "--python", BIN / "python", INSTALLED])
    sync: list[str | Path] = [BIN / "uv", "pip", "sync", "--quiet", "--require-hashes", LOCK]
    # Behind a proxy with its own certificate, only the system's store knows it.
    for words in ((), ("--system-certs",)) if not code else ():
        code, printed = run([*sync, *words], environ={"VIRTUAL_ENV": str(INSTALLED)})
        if not code:
            mark.write_bytes(LOCK.read_bytes())
            return
    raise CheckError(f"checkov cannot be installed:\n{printed[-1_500:]}")
