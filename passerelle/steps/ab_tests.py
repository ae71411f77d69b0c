"""The A/B tests of a project in the runs table: one is at work at a time."""

from __future__ import annotations

from passerelle.aws.runs_table import RunsTable, utc_now
from passerelle.contracts.ab_tests import ENDED, LAST, AbTest, AbTestEnd
from passerelle.contracts.promotions import Asked
from passerelle.errors import InputError

_ENDS_IT = ("rollback", "redeploy", "stop")


def last_ab_test(table: RunsTable, project: str) -> AbTest | None:
    """Return the last A/B test, which may be at work, None where there was none."""
    item = table.item(project, LAST)
    return AbTest.model_validate_json(item["test"]) if item else None


def ab_test_at_work(table: RunsTable, project: str) -> AbTest | None:
    """Return the A/B test at work, if any."""
    found = last_ab_test(table, project)
    return found if found and found.ended is None else None


def keep(table: RunsTable, test: AbTest) -> None:
    """Write a test as it now is."""
    table.put(test.project, LAST, test=test.model_dump_json())


def end(table: RunsTable, project: str, *, served: str, asked: Asked) -> None:
    """Write down that the test at work has ended, if there is one: a version serves alone again."""
    test = ab_test_at_work(table, project)
    if test is None:
        return
    ended = test.model_copy(update={"ended": AbTestEnd(at=utc_now(), served=served, asked=asked)})
    # First: of a test that another one follows, this item is all that is left.
    table.put(project, f"{ENDED}{test.started_at}", test=ended.model_dump_json())
    keep(table, ended)


def need_no_other(test: AbTest | None, asked: Asked, version: str) -> None:
    """Let nothing but its own end disturb a test at work; what is live and bad is always taken back.

    Raises InputError naming the test, and how it is ended.
    """
    if test is None or asked.how in _ENDS_IT or (asked.how == "promote" and version == test.version):
        return
    project = test.project
    if asked.how == "experiment":
        raise InputError(
            f"A/B test {test.name} of {project} is at work, with version {test.version} beside the champion. "
            f"`passerelle experiment stop {project}` ends it."
        )
    raise InputError(
        f"Version {version} of {project} is not deployed while A/B test {test.name} is at work, with version "
        f"{test.version} beside the champion. It stays registered: `passerelle experiment stop {project}`, then "
        f"`passerelle promote {project} --version {version}`."
    )
