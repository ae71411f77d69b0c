"""Lines of SageMaker jobs, from their descriptions (API reference: DescribeTrainingJob and its like).

SageMaker bills a training job's BillableTimeInSeconds of every instance; for managed spot this is less than the time
that it trained, by what spot saved. Other jobs have no such field: they are billed from their start to their end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from passerelle.contracts.ledger import Charge, ChargeStage
from passerelle.domain.cost.ledger.used import Amount, Owner, Used
from passerelle.domain.cost.rates import instance_rate, volume_rate

Description = Mapping[str, Any]
TRAINING: Final = "SageMaker Training"
PROCESSING: Final = "SageMaker Processing"
TRANSFORM: Final = "SageMaker BatchTransform"
_HOUR: Final = 3600.0
#: As the price table's months are counted (AWS's calculators).
_MONTH_HOURS: Final = 730.0
#: Entry of our container -> stage, where they are not called alike.
_STAGES: Final[Mapping[str, ChargeStage]] = {
    "prepare": "prepare",
    "evaluate": "evaluate",
    "judge": "judge",
    "backtest": "backtest",
    "count": "watch",
}
#: Families with disks of their own (NVMe): SageMaker uses these, and no volume is billed.
_OWN_DISKS: Final = re.compile(r"ml\.(?:[a-z]+[0-9]+[a-z]*d[a-z]*|g[5-9](?!g)[a-z]*|p[5-9][a-z]*|trn[0-9][a-z]*)\.")


def training_charges(job: Description, owner: Owner, region: str) -> tuple[Charge, ...]:
    """Return the lines of an ended training job: its instances, and their volumes; none where it never had any.

    Raises KeyError for a description that lacks what every ended job has.
    """
    start = job.get("TrainingStartTime")
    if start is None:
        return ()
    cluster, end = job["ResourceConfig"], job["TrainingEndTime"]
    tuning = str(job.get("TuningJobArn") or "").rpartition("/")[2]
    used = Used(
        owner=replace(owner, experiment=tuning) if tuning else owner,
        stage="tune" if tuning else "train",
        resource_type="training-job",
        resource_id=job["TrainingJobArn"],
        resource_name=job["TrainingJobName"],
        start=start,
        end=end,
    )
    count, spot = int(cluster.get("InstanceCount", 1)), bool(job.get("EnableManagedSpotTraining"))
    billed, trained = job.get("BillableTimeInSeconds"), job.get("TrainingTimeInSeconds")
    amount = Amount(
        quantity=None if billed is None else count * float(billed) / _HOUR,
        on_demand=None if trained is None else count * float(trained) / _HOUR,
        category="Dynamic" if spot else "Standard",
        basis=_training_basis(billed, trained, count, spot=spot),
    )
    instances = used.charge(instance_rate(TRAINING, cluster["InstanceType"], region), amount)
    seconds = (end - start).total_seconds() if trained is None else float(trained)
    return (instances, *_volumes(used, TRAINING, cluster, seconds, region))


def processing_charges(job: Description, owner: Owner, region: str) -> tuple[Charge, ...]:
    """Return the lines of an ended processing job; errors as for training."""
    start = job.get("ProcessingStartTime")
    if start is None:
        return ()
    cluster, arguments = job["ProcessingResources"]["ClusterConfig"], job["AppSpecification"].get("ContainerArguments")
    used = Used(
        owner=owner,
        stage=_STAGES.get((arguments or [""])[0], "pipeline"),
        resource_type="processing-job",
        resource_id=job["ProcessingJobArn"],
        resource_name=job["ProcessingJobName"],
        start=start,
        end=job["ProcessingEndTime"],
    )
    return _by_the_clock(used, PROCESSING, cluster, region)


def transform_charges(job: Description, owner: Owner, region: str) -> tuple[Charge, ...]:
    """Return the line of an ended transform job; errors as for training. It has no volume that can be chosen."""
    start = job.get("TransformStartTime")
    if start is None:
        return ()
    used = Used(
        owner=owner,
        stage="batch",
        resource_type="transform-job",
        resource_id=job["TransformJobArn"],
        resource_name=job["TransformJobName"],
        start=start,
        end=job["TransformEndTime"],
    )
    return _by_the_clock(used, TRANSFORM, job["TransformResources"], region)


#: By SageMaker's word for the kind of job.
CHARGES: Final[Mapping[str, Callable[[Description, Owner, str], tuple[Charge, ...]]]] = {
    "Training": training_charges,
    "Processing": processing_charges,
    "Transform": transform_charges,
}


def _by_the_clock(used: Used, component: str, cluster: Description, region: str) -> tuple[Charge, ...]:
    count, seconds = int(cluster.get("InstanceCount", 1)), max(1.0, _seconds(used.start, used.end))
    basis = f"{seconds:,.0f} s of {count} instance(s) from start to end"
    amount = Amount(quantity=count * seconds / _HOUR, basis=basis)
    instances = used.charge(instance_rate(component, cluster["InstanceType"], region), amount)
    return (instances, *_volumes(used, component, cluster, seconds, region))


def _volumes(used: Used, component: str, cluster: Description, seconds: float, region: str) -> tuple[Charge, ...]:
    size, count = cluster.get("VolumeSizeInGB"), int(cluster.get("InstanceCount", 1))
    if not size or _OWN_DISKS.match(cluster["InstanceType"]):
        return ()
    months = count * float(size) * seconds / _HOUR / _MONTH_HOURS
    basis = f"{size} GB beside {count} instance(s) for {seconds:,.0f} s; a month has {_MONTH_HOURS:.0f} h"
    return (used.charge(volume_rate(component, region), Amount(quantity=months, basis=basis)),)


def _training_basis(billed: float | None, trained: float | None, count: int, *, spot: bool) -> str:
    if billed is None:
        return "SageMaker does not say the billable time"
    told = f"{billed:,.0f} billable s of {count} instance(s)"
    return f"{told} on spot, which trained {trained or 0:,.0f} s" if spot else told


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()
