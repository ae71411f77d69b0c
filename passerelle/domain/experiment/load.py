"""Does the challenger answer as surely and as fast as the champion?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.contracts.experiment import Errors, LatencyQuantile, LatencySeen
from passerelle.domain.experiment.interval import difference, quantile_interval, share_interval
from passerelle.domain.experiment.ranks import QUANTILES

Array = npt.NDArray[Any]


def compare_errors(champion: tuple[int, int], challenger: tuple[int, int]) -> Errors:
    """Return both shares of failed requests and their difference, from (requests, errors among them)."""
    ours, theirs = (
        share_interval(errors / requests if requests else 0.0, requests) for requests, errors in (challenger, champion)
    )
    return Errors(
        champion_requests=champion[0],
        champion_errors=champion[1],
        challenger_requests=challenger[0],
        challenger_errors=challenger[1],
        champion=theirs,
        challenger=ours,
        more=difference(ours, theirs),
    )


def compare_latency(champion: Array, challenger: Array) -> tuple[LatencyQuantile, ...]:
    """Return quantiles of both and their differences; nothing where either answered no request.

    Requests are taken for independent. In a slow minute they are not, so that intervals of a short time are too narrow:
    the shadow's declared duration is what makes up for that.

    Parameters
    ----------
    champion, challenger : milliseconds per answered request, shapes (n,) and (m,).
    """
    theirs, ours = (np.asarray(one, dtype=np.float64) for one in (champion, challenger))
    if not len(theirs) or not len(ours):
        return ()
    return compare_quantiles(_quantiles(theirs), _quantiles(ours))


def _quantiles(values: Array) -> list[LatencySeen]:
    return [LatencySeen(share=share, found=quantile_interval(values, share)) for share in QUANTILES]


def compare_quantiles(
    champion: Sequence[LatencySeen], challenger: Sequence[LatencySeen]
) -> tuple[LatencyQuantile, ...]:
    """Return quantiles that are known of both, and their differences."""
    theirs = {one.share: one.found for one in champion}
    return tuple(
        LatencyQuantile(
            share=one.share,
            champion=theirs[one.share],
            challenger=one.found,
            longer=difference(one.found, theirs[one.share]),
        )
        for one in challenger
        if one.share in theirs
    )
