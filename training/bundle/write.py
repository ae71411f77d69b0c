"""Write a model bundle: all files, then the manifest that vouches for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerelle.contracts.bundle import (
    EXAMPLE_FILE,
    EXPLAINER_FILE,
    FEATURES_FILE,
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
from training.bundle.plan import PLAN_FILE
from training.bundle.read import Bundle, file_sha256, load_bundle

if TYPE_CHECKING:
    import pandas as pd

    from training.bundle.prove import Holdout


def write_bundle(
    directory: Path,
    *,
    pipeline: Any,
    signature: BundleSignature,
    example: dict[str, Any],
    profile: dict[str, Any],
    metadata: BundleMetadata,
    background: pd.DataFrame | None = None,
    holdout: Holdout | None = None,
    own_code: bytes | None = None,
    features: bytes | None = None,
) -> Bundle:
    """Write a bundle and load it back, so that one which could not be loaded is never shipped.

    `background` are the rows that answers are explained against; without them there are no explanations.
    The server answers from a plan only if that gives the answers of `holdout`; the metadata say so.
    `own_code` is the project's model.py, where the pipeline holds types of it; `features` its features.py, for readers.

    Raises BundleError when the pipeline holds a type that is not on the allow-list.
    """
    import skops.io

    # Imported here: the server reads bundles only, and does without pandas and scikit-learn.
    from training.bundle.prove import prove_plan
    from training.explain.reference import write_reference

    directory.mkdir(parents=True, exist_ok=True)
    skops.io.dump(pipeline, directory / MODEL_FILE)
    plan, fast_path = prove_plan(pipeline, signature, example, holdout)
    metadata = metadata.replaced(fast_path=fast_path)
    texts = {
        SIGNATURE_FILE: signature.to_json(),
        METADATA_FILE: metadata.to_json(),
        EXAMPLE_FILE: json.dumps(example, indent=2),
        PROFILE_FILE: json.dumps(profile),
    }
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    for name, code in ((OWN_FILE, own_code), (FEATURES_FILE, features)):
        (directory / name).unlink(missing_ok=True)
        if code is not None:
            (directory / name).write_bytes(code)
    (directory / PLAN_FILE).unlink(missing_ok=True)
    if plan is not None:
        (directory / PLAN_FILE).write_bytes(plan)
    (directory / EXPLAINER_FILE).unlink(missing_ok=True)
    if background is not None:
        (directory / EXPLAINER_FILE).write_bytes(write_reference(pipeline, background))
    present = [
        name
        for name in (MODEL_FILE, OWN_FILE, FEATURES_FILE, PLAN_FILE, EXPLAINER_FILE, *texts)
        if (directory / name).exists()
    ]
    files = {name: file_sha256(directory / name) for name in sorted(present)}
    manifest = {"format": FORMAT, "files": files}
    (directory / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    return load_bundle(directory, project_code=own_code is not None)
