"""Every request that a state machine can send is one that AWS takes, for every kind of project and environment.

The definitions are walked through with the functions' real handlers and the settings of the synthesised templates
(tests/infra/requests); what each Task would send is held to botocore's model and to documented rules beyond it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra.conftest import ENVIRONMENTS
from tests.infra.requests.integrations import Integration
from tests.infra.requests.machines import FILES, task_states
from tests.infra.requests.stories import (
    LONGEST_ENVIRONMENT,
    LONGEST_PROJECT,
    MOST_ATTEMPTS,
    MOST_REDRIVES,
    STORIES,
)
from tests.infra.requests.told import Told, told_stories

pytestmark = pytest.mark.xdist_group("infra")


@pytest.fixture(scope="module")
def told(synthesised: Callable[[str], Path]) -> Told:
    return told_stories(synthesised)


def test_every_request_of_every_state_is_one_that_aws_takes(told: Told) -> None:
    wrong = [
        f"{story}: {item.file}, {item.state} ({item.integration}): {problem}"
        for story, items in told.rendered.items()
        for item in items
        for problem in item.problems
    ]
    assert not wrong, "\n" + "\n".join(sorted(set(wrong)))


def test_every_request_that_the_functions_make_beside_them_is_one_that_aws_takes(told: Told) -> None:
    assert len(told.recorder.recorded) > 100
    assert not told.recorder.wrong(), "\n" + "\n".join(told.recorder.wrong())


def test_no_state_is_without_a_rendered_request(told: Told) -> None:
    reached = {(item.file, item.state) for items in told.rendered.values() for item in items}
    missing = [f"{file}: no request of state {state} was rendered" for file, state in task_states() - reached]
    how = "add a story to tests/infra/requests/stories.py that leads there"
    assert not missing, "\n".join([*sorted(missing), how])


def test_every_environment_has_told_a_story(told: Told) -> None:
    assert {story.environment for story in STORIES} == set(ENVIRONMENTS)


def test_the_names_were_as_long_as_names_may_be(told: Told) -> None:
    assert all(len(story.project_name) == LONGEST_PROJECT for story in STORIES)
    endpoints = [request["EndpointName"] for request in told.of("createEndpoint")]
    assert max(map(len, endpoints)) == len(f"passerelle-{LONGEST_ENVIRONMENT}-") + LONGEST_PROJECT
    jobs = [request["ProcessingJobName"] for request in told.of("createProcessingJob")]
    assert any(f"-{MOST_ATTEMPTS}" in name and name.endswith(f"-{MOST_REDRIVES}") for name in jobs)


def test_trainings_were_spot_and_on_demand_warm_on_other_types_and_tried_three_times(told: Told) -> None:
    jobs = told.of("createTrainingJob")
    assert {job["EnableManagedSpotTraining"] for job in jobs} == {True, False}
    assert {"ml.r5.4xlarge", "ml.m5.4xlarge", "ml.c5.9xlarge"} <= {
        job["ResourceConfig"]["InstanceType"] for job in jobs
    }
    assert any("KeepAlivePeriodInSeconds" in job["ResourceConfig"] for job in jobs)
    assert any(job["TrainingJobName"].endswith("-3") for job in jobs)
    assert {"VpcConfig" in job for job in jobs} == {True, False}


def test_searches_were_of_several_candidates_with_names_that_sagemaker_takes(told: Told) -> None:
    jobs = told.of("createHyperParameterTuningJob")
    names = [job["HyperParameterTuningJobName"] for job in jobs]
    assert {name[-2:] for name in names} == {"-1", "-2"}
    assert all(len(name) <= 32 and f"-t{MOST_ATTEMPTS}-" in name for name in names)
    strategies = {job["HyperParameterTuningJobConfig"]["Strategy"] for job in jobs}
    assert strategies == {"Bayesian", "Hyperband"}


def test_spark_was_asked_for_with_a_token_of_its_own_after_each_redrive(told: Told) -> None:
    (job,) = told.of("startJobRun")
    assert job["clientToken"].endswith(f"-prepare-1-{MOST_REDRIVES}")
    assert len(job["clientToken"]) <= 64
    assert (job["tags"]["passerelle:environment"], job["tags"]["a-tag-00"]) == ("staging", "-quipe m-t-o / R+D = 1@2")


def test_endpoints_were_of_both_profiles_with_and_without_capture_created_and_updated(told: Told) -> None:
    configs = told.of("createEndpointConfig")
    assert {"ServerlessConfig" in config["ProductionVariants"][0] for config in configs} == {True, False}
    assert {"DataCaptureConfig" in config for config in configs} == {True, False}
    assert {"VpcConfig" in request for request in told.of("createModel")} == {True, False}
    assert told.of("createEndpoint")
    assert told.of("updateEndpoint")


@pytest.mark.parametrize("path", sorted(FILES.glob("*.asl.json")), ids=lambda path: path.name)
def test_every_integration_is_one_that_step_functions_and_botocore_know(path: Path) -> None:
    for state in json.loads(path.read_text())["States"].values():
        if state["Type"] == "Task":
            Integration.of(state["Resource"])
