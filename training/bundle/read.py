"""Load a model bundle: every byte checked against the manifest first, then skops with the allow-list."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from passerelle.contracts.bundle import (
    EXAMPLE_FILE,
    EXPLAINER_FILE,
    FORMAT,
    MANIFEST_FILE,
    METADATA_FILE,
    MODEL_FILE,
    OWN_FILE,
    PROFILE_FILE,
    SIGNATURE_FILE,
    BundleMetadata,
    BundleSignature,
)
from passerelle.contracts.record import Record, RecordError
from passerelle.errors import BundleError
from training.bundle.plan import PLAN_FILE, Plan, read_plan
from training.bundle.trusted import TRUSTED_TYPES

REQUIRED_FILES: Final = frozenset((MODEL_FILE, SIGNATURE_FILE, EXAMPLE_FILE, PROFILE_FILE, METADATA_FILE))
RecordT = TypeVar("RecordT", bound=Record)
_REMEDY: Final = "Train the model again, and deploy its model.tar.gz as it is."


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: the fitted pipeline with what is known of it.

    `plan` is the same model as plain arrays, when it has one; `pipeline` is None where the plan is all that was wanted.
    `reference` is the content of explainer.npz, empty where there is none.
    """

    pipeline: Any
    signature: BundleSignature
    example: dict[str, Any]
    profile: dict[str, Any]
    metadata: BundleMetadata
    plan: Plan | None = None
    reference: bytes = b""


def load_bundle(directory: Path, *, plan_suffices: bool = False, project_code: bool = False) -> Bundle:
    """Return the bundle in a directory; with `plan_suffices`, without its pipeline where there is a plan.

    Code that a bundle brings is imported only where `project_code` says that the deployed project has such.

    Raises BundleError, naming the file, when anything is missing, altered, added, of an unknown format, or of a type
    that is not on the allow-list. Nothing of the model is executed before the manifest holds.
    """
    files = verify_manifest(directory)
    try:
        signature = _read(BundleSignature, directory / SIGNATURE_FILE)
        metadata = _read(BundleMetadata, directory / METADATA_FILE)
        example = json.loads((directory / EXAMPLE_FILE).read_text(encoding="utf-8"))
        profile = json.loads((directory / PROFILE_FILE).read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise BundleError(f"{directory}: the bundle's description cannot be read: {error}. {_REMEDY}") from error
    own = _own_code(directory / OWN_FILE, project_code) if OWN_FILE in files else None
    plan = read_plan((directory / PLAN_FILE).read_bytes()) if PLAN_FILE in files else None
    pipeline = None if plan is not None and plan_suffices else _load_pipeline(directory / MODEL_FILE, own)
    reference = (directory / EXPLAINER_FILE).read_bytes() if EXPLAINER_FILE in files else b""
    return Bundle(pipeline, signature, example, profile, metadata, plan, reference)


def _read(kind: type[RecordT], path: Path) -> RecordT:
    try:
        return kind.from_json(path.read_bytes())
    except RecordError as error:
        raise BundleError(f"{path}: not valid: {error}. {_REMEDY}") from error


def verify_manifest(directory: Path) -> dict[str, str]:
    """Return {file: sha256} of a bundle whose every file is as its manifest says.

    Raises BundleError otherwise, with the remedy.
    """
    path = directory / MANIFEST_FILE
    files = _read_manifest(path)
    present = {item.relative_to(directory).as_posix() for item in directory.rglob("*") if item.is_file()}
    for name in sorted(present - files.keys() - {MANIFEST_FILE}):
        raise BundleError(f"{directory / name}: not in the manifest; the bundle was added to after training. {_REMEDY}")
    for name in sorted(REQUIRED_FILES | files.keys()):
        if name not in present or name not in files:
            raise BundleError(f"{directory / name}: missing; the bundle is incomplete. {_REMEDY}")
        if file_sha256(directory / name) != files[name]:
            raise BundleError(
                f"{directory / name}: its SHA-256 is not the manifest's; it was altered or truncated. {_REMEDY}"
            )
    return files


def _read_manifest(path: Path) -> dict[str, str]:
    if not path.exists():
        found = sorted(item.name for item in path.parent.iterdir())[:5] if path.parent.is_dir() else []
        content = f"it holds {', '.join(found)}" if found else "it is empty"
        raise BundleError(
            f"{path.parent}: no model bundle: there is no {MANIFEST_FILE}; {content}. "
            "ModelDataUrl must name the model.tar.gz of a training job of this platform."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format"]
        if isinstance(version, int) and version > FORMAT:
            raise BundleError(
                f"{path}: bundle format {version} is newer than this image, which reads format {FORMAT}. "
                "Deploy the image that trained the model, or a newer one."
            )
        if version != FORMAT:
            raise BundleError(f"{path}: bundle format {version!r} is unknown; this version reads format {FORMAT}.")
        return {str(name): str(digest) for name, digest in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{path}: no readable manifest: {type(error).__name__}: {error}. {_REMEDY}") from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_code(path: Path, allowed: bool) -> bytes:
    """Return the code that a bundle brings, to be imported when its model is loaded."""
    if not allowed:
        raise BundleError(
            f"{path}: the bundle brings code, and the deployed project declares none (training.model). Nothing of it "
            "was run. Deploy the project whose model this is."
        )
    return path.read_bytes()


def _load_pipeline(path: Path, own: bytes | None) -> Any:
    import skops.io

    from training.bundle.own_code import import_own

    try:
        named = set(skops.io.get_untrusted_types(file=path))
        module = import_own(own).__name__ if own is not None else None
        trusted = {*TRUSTED_TYPES, *(name for name in named if module and name.startswith(f"{module}."))}
        unknown = sorted(named - trusted)
        if unknown:
            raise BundleError(
                f"{path}: holds types that are not on the allow-list: {', '.join(unknown)}. Nothing of it was loaded. "
                "Where did this file come from? A model of this platform's training holds none of them."
            )
        return skops.io.load(path, trusted=sorted(trusted))
    except BundleError:
        raise
    except Exception as error:  # skops raises many kinds for a file that is not its own
        reason = f"{type(error).__name__}: {error}"
        raise BundleError(f"{path}: not a readable skops file: {reason}. {_REMEDY}") from error
