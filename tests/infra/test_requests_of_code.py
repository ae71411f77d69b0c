"""Every call of AWS in our own code makes requests that AWS takes.

What the calls write is compared with botocore's models everywhere; and every call is made, with real clients, so that
whole requests are judged: by the functions of the stories, and by the paths of tests/infra/requests/code_paths.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.infra.conftest import ENVIRONMENTS, ROOT
from tests.infra.iam.program import Program
from tests.infra.requests.backtest_paths import backtests
from tests.infra.requests.batch_paths import batches
from tests.infra.requests.code_paths import PATHS, CodePath, custom_resources, reconciler, walk_paths
from tests.infra.requests.deployed import Deployed
from tests.infra.requests.ledger_paths import ledger
from tests.infra.requests.recorder import Recorder
from tests.infra.requests.recovery_paths import RECOVERY
from tests.infra.requests.sites import Site, followed_sites, is_made, static_problems, written_sites
from tests.infra.requests.told import told_stories

pytestmark = pytest.mark.xdist_group("infra")
Synthesise = Callable[[str], Path]
PACKAGES: Final = ("passerelle", "lambdas", "training", "cli")


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(ROOT)


@pytest.fixture(scope="module")
def sites(synthesised: Synthesise, program: Program) -> set[Site]:
    followed = {site for name in ENVIRONMENTS for site in followed_sites(Deployed(synthesised(name)), program)}
    known = {(site.file, site.line, site.method) for site in followed}
    written = written_sites(program, PACKAGES)
    return followed | {site for site in written if (site.file, site.line, site.method) not in known}


@pytest.fixture(scope="module")
def walked(synthesised: Synthesise, tmp_path_factory: pytest.TempPathFactory) -> list[Recorder]:
    """In production all paths; elsewhere those that depend on the templates."""

    def walk(environment: str, paths: tuple[CodePath, ...]) -> Recorder:
        return walk_paths(Deployed(synthesised(environment)), tmp_path_factory.mktemp(environment), paths)

    whole = (*PATHS, *RECOVERY, batches, backtests, ledger)
    return [walk(name, whole if name == "prod" else (custom_resources, reconciler)) for name in ENVIRONMENTS]


def test_every_call_writes_parameters_that_its_operation_has_and_all_that_it_requires(
    sites: set[Site], program: Program
) -> None:
    assert len(sites) > 50
    wrong = [problem for site in sorted(sites) for problem in static_problems(program, site)]
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_request_of_the_paths_is_one_that_aws_takes(walked: list[Recorder]) -> None:
    wrong = [text for recorder in walked for text in recorder.wrong()]
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_call_is_made_by_a_story_or_a_path(
    synthesised: Synthesise, walked: list[Recorder], sites: set[Site], program: Program
) -> None:
    made = told_stories(synthesised).recorder.places()
    for recorder in walked:
        made |= recorder.places()
    missing = sorted(str(site) for site in sites if not is_made(program, site, made))
    how = "let a path of tests/infra/requests/code_paths.py, or a story beside it, make the call"
    assert not missing, "\n".join([*missing, how])


@pytest.mark.parametrize("service", ["sagemaker", "stepfunctions", "ecs", "codebuild", "ecr", "rds", "s3", "dynamodb"])
def test_requests_of_each_service_were_judged(synthesised: Synthesise, walked: list[Recorder], service: str) -> None:
    recorders = (*walked, told_stories(synthesised).recorder)
    assert any(item.service == service for recorder in recorders for item in recorder.recorded)


# The check itself

IMAGES = "passerelle/aws/images.py"


def _problems(find: str, replace: str) -> list[str]:
    """Change images.py; return what the static check says of its calls."""
    text = (ROOT / IMAGES).read_text(encoding="utf-8")
    assert find in text
    program = Program(ROOT, extra={"passerelle.aws.images": text.replace(find, replace)})
    module = [site for site in written_sites(program, ("passerelle",)) if site.file == IMAGES]
    return [problem for site in module for problem in static_problems(program, site)]


@pytest.mark.parametrize(
    ("find", "replace", "says"),
    [
        ("projectName=project", "ProjectName=project", "codebuild has no parameter ProjectName"),
        ("projectName=project, ", "", "codebuild requires projectName"),
        ("imageIds=", "imageDigests=", "ecr has no parameter imageDigests"),
        ("ids=[build_id]", "", "codebuild requires ids"),
    ],
)
def test_a_parameter_that_is_renamed_or_left_out_is_noticed(find: str, replace: str, says: str) -> None:
    assert any(says in problem for problem in _problems(find, replace))


def test_sound_calls_have_no_problem() -> None:
    assert _problems("ids=[build_id]", "ids=[build_id]") == []
