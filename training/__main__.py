"""The image's ENTRYPOINT: `python -m training prepare|train|evaluate|judge|count|backtest|serve|compare`."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from passerelle.errors import PasserelleError
from training.paths import base_dir
from training.stopping import SIGTERM, StoppedError

ENTRIES: Final = {
    "prepare": "training.prepare.main",
    "train": "training.train.main",
    "evaluate": "training.evaluate.main",
    "judge": "training.judge.main",
    "count": "training.count.main",
    "backtest": "training.backtest.main",
    "serve": "training.serve.main",
    "compare": "training.compare",
}
#: SageMaker shows the first 1,024 characters as FailureReason.
REASON_CHARACTERS: Final = 1_024


# OpenMP's threads spin while they wait. Where another process wants the core too, that makes a fit ten times slower;
# it must be said before any library that uses OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one entry; a failure leaves its reason where SageMaker looks for it."""
    names = list(sys.argv[1:] if arguments is None else arguments)
    if len(names) != 1 or names[0] not in ENTRIES:
        print(f"usage: python -m training {'|'.join(ENTRIES)}", file=sys.stderr)
        return 2
    if names[0] != "serve":  # the server has its own way of stopping
        signal.signal(signal.SIGTERM, SIGTERM)
    try:
        return int(importlib.import_module(ENTRIES[names[0]]).main() or 0)
    except StoppedError as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 143
    except Exception as error:
        traceback.print_exc()
        write_reason(str(error) if isinstance(error, PasserelleError) else f"{type(error).__name__}: {error}")
        return 1


def write_reason(reason: str) -> None:
    """Write why the job failed to /opt/ml/output/failure (training) and /opt/ml/output/message (processing)."""
    output = base_dir() / "output"
    output.mkdir(parents=True, exist_ok=True)
    for name in ("failure", "message"):
        (output / name).write_text(reason[:REASON_CHARACTERS], encoding="utf-8")


if __name__ == "__main__":
    code = main()
    # Else Python's end looks once more at every object of every library, for half a second.
    gc.freeze()
    sys.exit(code)
