"""Where the deployed code comes from."""

from __future__ import annotations

from passerelle.contracts.checkout import ROOT, git_sha, lock_hash

__all__ = ["ROOT", "git_sha", "lock_hash"]
