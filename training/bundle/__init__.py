"""Model bundles: written by `train`, verified and loaded by `evaluate` and `serve`."""

from training.bundle.read import Bundle, load_bundle, verify_manifest
from training.bundle.write import write_bundle

__all__ = ["Bundle", "load_bundle", "verify_manifest", "write_bundle"]
