"""What the `delivery` section of an environment may say, and what a person reads when it says something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import config as subject
from infra.constructs.github_provider import need_sole_creator
from passerelle.errors import SettingsError

DEPLOYED = ("dev", "staging", "prod")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes an environment's file with a changed delivery section."""
    originals = {name: yaml.safe_load((subject.FOLDER / f"{name}.yaml").read_text()) for name in DEPLOYED}
    monkeypatch.setattr(subject, "FOLDER", tmp_path)

    def write_file(name: str, account: str = "", **changes: Any) -> subject.PlatformConfig:
        document = originals[name] | ({"account": account} if account else {})
        document["delivery"] = {**document["delivery"], **changes}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document))
        return subject.load_config(name)

    return write_file


def test_each_shipped_environment_has_an_account_of_its_own_and_trusts_one_repository() -> None:
    configs = [subject.load_config(name) for name in DEPLOYED]
    assert len({config.account for config in configs}) == len(DEPLOYED)
    assert len({config.delivery.repository for config in configs if config.delivery}) == 1
    assert all(config.delivery for config in configs)
    assert subject.load_config("laptop").delivery is None


@pytest.mark.parametrize("repository", ["example/passerelle", "some-org/a.b_c", "example@123456/passerelle@456789"])
def test_a_repository_may_be_named_as_github_names_it_with_or_without_numbers(write: Any, repository: str) -> None:
    assert write("dev", repository=repository).delivery.repository == repository


@pytest.mark.parametrize(
    "repository",
    [
        "passerelle",
        "example/*",
        "example/passerelle:ref",
        "*/passerelle",
        "example/pass?relle",
        "https://github.com/a/b",
    ],
)
def test_no_repository_but_one_exact_can_be_trusted(write: Any, repository: str) -> None:
    with pytest.raises(SettingsError, match=r"dev\.yaml: delivery\.repository: "):
        write("dev", repository=repository)


def test_numbers_on_one_half_of_a_repository_are_refused_with_the_command_that_tells_both(write: Any) -> None:
    with pytest.raises(SettingsError, match=r"gh api repos/OWNER/NAME"):
        write("dev", repository="example@12/passerelle")


@pytest.mark.parametrize("branch", ["*", "release/*", "main?"])
def test_no_pattern_of_branches_can_be_trusted(write: Any, branch: str) -> None:
    with pytest.raises(SettingsError, match=r"delivery\.branch: "):
        write("dev", branch=branch)


def test_a_deployment_is_tried_with_a_project_that_is_deployed(write: Any) -> None:
    with pytest.raises(SettingsError, match=r"smoke_project: 'flight' is none of `projects`"):
        write("dev", smoke_project="flight")


def test_no_test_data_reaches_a_production_model(write: Any) -> None:
    with pytest.raises(SettingsError, match=r"delivery\.smoke: .* write `predict`"):
        write("prod", smoke="drop")


def test_two_environments_of_one_account_cannot_both_make_its_identity_provider(write: Any) -> None:
    write("dev")
    with pytest.raises(SettingsError, match=r"that of dev, .* `provider: existing`"):
        need_sole_creator(write("staging", account="111111111111"))


def test_one_of_two_environments_of_an_account_may_find_the_provider_of_the_other(write: Any) -> None:
    write("staging", account="111111111111", provider="existing")
    need_sole_creator(write("dev"))
