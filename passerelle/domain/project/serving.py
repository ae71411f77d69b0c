"""The serving section of project.yaml, with SageMaker's limits: what excludes what is refused with the way out.

Sources: SageMaker developer guide, "Serverless Inference" (feature exclusions), "Deployment guardrails" (canary and
linear traffic shifting, exclusions), "Shadow tests" (exclusions), "Automatically scale Provisioned Concurrency", "Scale
an endpoint to zero instances"; API reference, TrafficRoutingConfig, BlueGreenUpdatePolicy, ProductionVariant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import Field, model_validator

from passerelle.domain.project.experiment import Experiment
from passerelle.domain.project.part import Part

RolloutType = Literal["all-at-once", "canary", "linear"]
#: BlueGreenUpdatePolicy.MaximumExecutionTimeoutInSeconds, and how much of it a fleet may take to start.
LONGEST_UPDATE_SECONDS: Final = 28_800
START_SECONDS: Final = 3_600
LONGEST_SHADOW_HOURS: Final = 72
#: Traffic shifting turns on whole instances, at most half of the fleet first.
LEAST_FLEET: Final = 2


class Autoscaling(Part):
    """Between which bounds load moves the number of instances, or of warm environments of a serverless endpoint.

    `invocations_per_minute` is the load of one instance that is aimed at: what one instance was measured to stand,
    times 60, times 0.5 (developer guide, "Load testing your auto scaling configuration"). With `min: 0` it is that of
    one copy of the model, and an idle endpoint has neither copies nor instances.
    """

    min: int = Field(default=1, ge=0, le=200)
    max: int = Field(ge=1, le=200)
    invocations_per_minute: int | None = Field(default=None, ge=1)
    utilization_percent: int | None = Field(default=None, ge=1, le=100)
    scale_in_seconds: int = Field(default=300, ge=0, le=3_600)
    scale_out_seconds: int = Field(default=60, ge=0, le=3_600)

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Autoscaling:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}")
        return self


class RolloutAlarms(Part):
    """Above these, for two minutes in a row, somebody is told and an update under way is rolled back."""

    error_percent: float = Field(default=1.0, gt=0, lt=100)
    p99_latency_ms: int = Field(default=1_000, ge=1, le=60_000)


class Rollout(Part):
    """How a new model takes over from the champion. Without a type: canary where the fleet has two instances.

    `percent` of the instances take requests first (linear: in every step), then alarms are watched for `wait_minutes`,
    and as long once more before the champion's instances are let go.
    """

    type: RolloutType | None = None
    percent: int = Field(default=25, ge=1, le=50)
    wait_minutes: int = Field(default=5, ge=3, le=60)
    alarms: RolloutAlarms = RolloutAlarms()

    @model_validator(mode="after")
    def _fits_into_an_update(self) -> Rollout:
        if self.type == "linear" and self.percent < 10:
            raise ValueError(f"percent {self.percent}: a step of a linear rollout is 10 to 50 percent of the fleet")
        if self.wait_seconds(self.type or "canary") + START_SECONDS > LONGEST_UPDATE_SECONDS:
            raise ValueError(
                f"{self.steps('linear')} steps of {self.wait_minutes} minutes are longer than SageMaker's 8 hours for "
                "an update; raise percent, or lower wait_minutes"
            )
        return self

    def steps(self, type_: RolloutType) -> int:
        """Return how many times traffic is shifted."""
        return {"all-at-once": 1, "canary": 2, "linear": -(-100 // self.percent)}[type_]

    def wait_seconds(self, type_: RolloutType) -> int:
        """Return how long an update waits in all, the last time before the old fleet is let go."""
        return self.steps(type_) * self.wait_minutes * 60


class Shadow(Part):
    """A challenger first gets copies of `percent` of the requests; nobody sees its answers.

    For `hours`, and on until it has answered `requests`, at most for LONGEST_SHADOW_HOURS. Serverless endpoints have no
    shadow variant: there the requests of the last `hours` are replayed, and nothing is waited for.
    """

    percent: int = Field(default=100, ge=1, le=100)
    hours: int = Field(ge=1, le=LONGEST_SHADOW_HOURS)
    requests: int = Field(default=1_000, ge=1, le=10_000_000)


class Serving(Part):
    """How the model is served. Serverless has no data capture, shadow variant, guarded rollout or VPC on SageMaker."""

    profile: Literal["serverless", "real-time"] = "serverless"
    instance_type: str = Field(default="ml.m5.large", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")
    instance_count: int = Field(default=1, ge=1, le=100)
    memory_mb: int = Field(default=2048, ge=1024, le=6144, multiple_of=1024)
    max_concurrency: int = Field(default=10, ge=1, le=200)
    provisioned_concurrency: int | None = Field(default=None, ge=1, le=200)
    autoscaling: Autoscaling | None = None
    rollout: Rollout = Rollout()
    shadow: Shadow | None = None
    experiment: Experiment | None = None
    capture_percent: int | None = Field(default=None, ge=0, le=100)

    @property
    def scales_to_zero(self) -> bool:
        """Whether the model is hosted as an inference component: nothing else scales to no instance at all."""
        return self.profile == "real-time" and self.autoscaling is not None and self.autoscaling.min == 0

    @property
    def instances(self) -> int:
        """Instances that a deployment begins with: `instance_count`, within the bounds of the autoscaling."""
        if self.autoscaling is None:
            return self.instance_count
        return min(max(self.instance_count, self.autoscaling.min), self.autoscaling.max)

    @property
    def least_instances(self) -> int:
        """Instances that are paid without a request."""
        return self.autoscaling.min if self.autoscaling else self.instance_count

    @property
    def most_instances(self) -> int:
        """Instances that there may be outside of updates."""
        return self.autoscaling.max if self.autoscaling else self.instance_count

    @property
    def rollout_type(self) -> RolloutType:
        """The traffic shifting: the one asked for, or the safest that the fleet allows."""
        return self.rollout.type or ("canary" if self.instances >= LEAST_FLEET else "all-at-once")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Serving:
        problems = list(self._serverless_misfits() if self.profile == "serverless" else self._real_time_misfits())
        if self.experiment and (self.profile == "serverless" or self.scales_to_zero):
            problems.append(
                "experiment: an A/B test needs two variants, which neither a serverless endpoint nor one that scales "
                "to zero has; use real-time with autoscaling.min 1"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _serverless_misfits(self) -> Iterator[str]:
        if self.capture_percent:
            yield "capture_percent: a serverless endpoint captures nothing, its server logs predictions; leave it out"
        if self.shadow and self.shadow.percent != 100:
            yield "shadow.percent: a serverless endpoint has no shadow variant: all recorded requests are replayed"
        if self.rollout.type:
            yield "rollout.type: a serverless endpoint is updated at once, and no alarm rolls it back; use real-time"
        yield from self._concurrency_misfits()

    def _concurrency_misfits(self) -> Iterator[str]:
        warm, scaling = self.provisioned_concurrency, self.autoscaling
        if warm and warm > self.max_concurrency:
            yield f"provisioned_concurrency {warm} is greater than max_concurrency {self.max_concurrency}"
        if scaling is None:
            return
        if warm is None:
            yield "autoscaling of a serverless endpoint moves its provisioned_concurrency: give one, or leave both out"
        elif not max(1, scaling.min) <= warm <= scaling.max:
            yield f"provisioned_concurrency {warm} is not within autoscaling {scaling.min} to {scaling.max}"
        if scaling.min == 0:
            yield "autoscaling.min: provisioned concurrency is at least 1; without any, an idle endpoint costs nothing"
        if scaling.max > self.max_concurrency:
            yield f"autoscaling.max {scaling.max} is greater than max_concurrency {self.max_concurrency}"
        if scaling.invocations_per_minute:
            yield "autoscaling.invocations_per_minute is for instances; serverless has utilization_percent"

    def _real_time_misfits(self) -> Iterator[str]:
        if self.provisioned_concurrency:
            yield "provisioned_concurrency is for serverless; instances are always warm"
        if self.shadow and not self.capture_percent and not self.scales_to_zero:
            yield "shadow: what both models answer is compared as it was captured; set capture_percent, 100 at best"
        if self.experiment and not self.capture_percent and not self.scales_to_zero:
            yield "experiment: captured predictions tell it, and none may be missed; set capture_percent to 100"
        if self.scales_to_zero:
            yield from self._zero_misfits()
        elif self.rollout.type in ("canary", "linear") and self.instances < LEAST_FLEET:
            yield (
                f"rollout.type {self.rollout.type} shifts at most half of the instances at a time, and there is one; "
                "set instance_count to 2, or rollout.type to all-at-once, which alarms roll back too"
            )
        scaling = self.autoscaling
        if scaling is None:
            return
        if scaling.max > 100:
            yield f"autoscaling.max {scaling.max}: at most 100 instances"
        if scaling.invocations_per_minute is None:
            yield "autoscaling.invocations_per_minute is missing: the load of one instance to aim at"
        if scaling.utilization_percent:
            yield "autoscaling.utilization_percent is for serverless; instances have invocations_per_minute"

    def _zero_misfits(self) -> Iterator[str]:
        keep = "; set autoscaling.min to 1, or leave it out"
        if self.capture_percent:
            yield f"capture_percent: SageMaker captures no data of an endpoint that scales to zero{keep}"
        if self.shadow:
            yield f"shadow: an endpoint that scales to zero has no shadow variant{keep}"
        if self.rollout.type:
            yield f"rollout.type: the copies of an endpoint that scales to zero are replaced half by half{keep}"
