"""What the newest windows with labels have lost of the metric together: each by itself may be too short to say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from passerelle.aws.clients import client
from passerelle.aws.objects import Objects
from passerelle.contracts import zones
from passerelle.contracts.monitoring import DRIFT_FILE, WindowRecord
from passerelle.domain.drift.concept import Confirmed, changes
from passerelle.domain.drift.performance import PerformanceReference
from passerelle.domain.monitoring.retraining import Loss
from passerelle.domain.monitoring.worth import Judged, realised_figure
from passerelle.errors import NotFoundError

#: Of more, what was lost long ago and has come back would weigh too much.
MOST: Final = 8


def lost_together(
    judged: Judged, records: Sequence[WindowRecord], performance: PerformanceReference, *, reports: str
) -> Loss | None:
    """Return what windows of one model, the newest first, have lost together; None where fewer than two add up.

    Parameters
    ----------
    reports : the bucket that has what was counted of them.
    """
    found = list(_confirmed(records[:MOST], performance, reports))
    if len(found) < 2:
        return None
    whole = found[0]
    for more in found[1:]:
        whole += more
    change = changes(performance, whole, windows=len(found)).get(judged.metric)
    figure = realised_figure(change) if change is not None else None
    if change is None or change.before is None or figure is None:
        return None
    loss = judged.loss({judged.metric: figure}, {judged.metric: change.before})
    return replace(loss, windows=len(found)) if loss is not None else None


def _confirmed(records: Sequence[WindowRecord], performance: PerformanceReference, reports: str) -> Iterator[Confirmed]:
    """Yield what was counted of each window, but of those whose files are gone or that another reference counted."""
    objects = Objects(client("s3"))
    for record in records:
        _, prefix = zones.split_s3_uri(record.prefix)
        try:
            kept = json.loads(objects.read(reports, f"{prefix}/{DRIFT_FILE}"))["counted"]["confirmed"]
        except NotFoundError:
            continue
        if kept and kept["true"]["reference_id"] == performance.id:
            yield Confirmed.from_dict(kept)
