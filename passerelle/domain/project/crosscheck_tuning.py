"""Rules of the training.tuning section: what is searched exists, and can be searched where it is to be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from passerelle.domain.project.findings import Finding, Path, did_you_mean
from passerelle.domain.project.model import Project
from passerelle.domain.tuning.space import SPACES, problem, spaces

#: An instance takes minutes to start: a tuning job of less time has hardly one trial.
LEAST_MINUTES: Final = 10
#: Service quota "Maximum number of training jobs per hyperparameter tuning job" (developer guide, "Resource Limits").
MOST_TRIALS: Final = 750


def crosscheck_tuning(project: Project) -> Iterator[Finding]:
    """Yield (path of the field, problem) for what the training.tuning section says."""
    if project.training.tuning is None:
        return
    yield from _what_is_tuned_is_known(project)
    if project.training.tuning.engine != "job":
        yield from _tuning_jobs_can_run(project)


def _what_is_tuned_is_known(project: Project) -> Iterator[Finding]:
    tuning = project.training.tuning
    assert tuning is not None
    tunable = [name for name in project.candidates if name in SPACES]
    named: list[tuple[Path, str]] = [(("candidates", i), name) for i, name in enumerate(tuning.candidates)]
    for path, name in [*named, *((("space", name), name) for name in tuning.space)]:
        if name not in tunable:
            yield ("training", "tuning", *path), f"{name!r} cannot be tuned here; {did_you_mean(name, tunable)}"
    for name, changes in tuning.space.items():
        known = [dimension.name for dimension in SPACES[name].dimensions] if name in SPACES else []
        for parameter in sorted(changes.keys() - set(known)) if known else ():
            hint = did_you_mean(parameter, known)
            yield ("training", "tuning", "space", name, parameter), f"{parameter!r} is not tuned for {name}; {hint}"
    for space in spaces(tunable, tuning.overrides()):
        for dimension in space.dimensions:
            if what := problem(dimension):
                yield ("training", "tuning", "space", space.candidate, dimension.name), what


def _tuning_jobs_can_run(project: Project) -> Iterator[Finding]:
    """Each candidate has a tuning job of its own, with an equal share of the budget."""
    tuning, path = project.training.tuning, ("training", "tuning")
    assert tuning is not None
    jobs = len(spaces(tuning.candidates or project.candidates, tuning.overrides()))
    if not jobs:
        yield (*path, "engine"), f"{tuning.engine!r} finds nothing to search: name candidates that have parameters"
        return
    if tuning.trials < jobs:
        what = f"{tuning.trials} trials are less than one for each of {jobs} candidates"
        yield (*path, "trials"), f"{what}; raise it, or name fewer in training.tuning.candidates"
    if tuning.trials > MOST_TRIALS * jobs:
        what = f"SageMaker takes {MOST_TRIALS} trials for a candidate, and {jobs} are searched"
        yield (*path, "trials"), f"{what}; lower it to {MOST_TRIALS * jobs}"
    if tuning.minutes is not None and tuning.minutes < LEAST_MINUTES * jobs:
        what = (
            f"an instance takes minutes to start, so that {tuning.minutes:g} minutes for {jobs} tuning jobs end early"
        )
        yield (*path, "minutes"), f"{what}; give {LEAST_MINUTES * jobs} or more, or null, or engine: job"
