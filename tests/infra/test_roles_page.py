"""The page of who may do what says what production's templates and the commands' code say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.infra.conftest import ROOT
from tests.infra.iam.program import Program
from tests.infra.iam.templates import Assembly
from tests.infra.roles_page import PAGE, page


def test_the_page_of_roles_is_that_of_the_templates(synthesised: Callable[[str], Path]) -> None:
    made = page(Assembly(synthesised("prod")), Program(ROOT))
    assert PAGE.read_text(encoding="utf-8") == made, "run: python -m tests.infra.roles_page"
