"""Two environments agree on carrying models, each in its own file, or nothing is synthesised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import config as configuration
from infra.promotion import Peer, agreed_peers
from passerelle.errors import SettingsError

GIVES: dict[str, Any] = {"gives_to": ["prod"]}
TAKES: dict[str, Any] = {"takes_from": "staging"}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes a pair of environments and gives the peers of one of them."""
    originals = {
        name: yaml.safe_load((configuration.FOLDER / f"{name}.yaml").read_text()) for name in ("staging", "prod")
    }
    monkeypatch.setattr(configuration, "FOLDER", tmp_path)

    def write_pair(asked: str, staging: Any, prod: Any, **changes: Any) -> Any:
        for name, promotion in (("staging", staging), ("prod", prod)):
            document = originals[name] | {"promotion": promotion} | (changes if name == "prod" else {})
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document))
        return agreed_peers(configuration.load_config(asked))

    return write_pair


def test_the_shipped_environments_agree() -> None:
    prod, staging = (agreed_peers(configuration.load_config(name)) for name in ("prod", "staging"))
    assert prod.source == Peer("staging", "222222222222", "us-east-1")
    assert staging.takers == (Peer("prod", "333333333333", "us-east-1"),)
    assert (prod.takers, staging.source) == ((), None)
    assert agreed_peers(configuration.load_config("dev")) == agreed_peers(configuration.load_config("laptop"))


@pytest.mark.parametrize(
    ("asked", "staging", "prod", "says"),
    [
        ("prod", None, TAKES, r"prod\.yaml: promotion\.takes_from: staging does not give models to prod; write"),
        ("prod", {"gives_to": ["qa"]}, TAKES, r"promotion\.takes_from: staging does not give"),
        ("staging", GIVES, None, r"staging\.yaml: promotion\.gives_to: prod does not take models from staging; write"),
        ("prod", GIVES, {"takes_from": "qa"}, r"promotion\.takes_from: there is no environment 'qa'"),
        ("staging", {"gives_to": ["qa"]}, TAKES, r"promotion\.gives_to: there is no environment 'qa'"),
    ],
)
def test_what_only_one_of_them_says_is_refused_with_the_line_that_is_missing(
    write: Any, asked: str, staging: Any, prod: Any, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        write(asked, staging, prod)


@pytest.mark.parametrize(
    ("promotion", "says"),
    [
        ({}, "give takes_from, or gives_to"),
        ({"takes_from": "staging", "gives_to": ["staging"]}, "none go back"),
        ({"takes_from": "staging", "organization": "mine"}, r"promotion\.organization"),
        ({"takes_from": "staging", "accounts": ["1"]}, r"promotion\.accounts"),
    ],
)
def test_a_section_that_means_nothing_is_refused(write: Any, promotion: Any, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        write("prod", GIVES, promotion)


def test_two_environments_of_one_account_carry_nothing(write: Any) -> None:
    with pytest.raises(SettingsError, match=r"promotion\.takes_from: staging is in the account of prod"):
        write("prod", GIVES, TAKES, account="222222222222")
