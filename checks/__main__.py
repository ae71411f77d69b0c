"""`python -m checks [NAME ...]`: run all checks, or the named ones, two at a time; one line for each as it ends.

Exits with 0 when all have passed, 1 when one has not, 2 for a name that no check has.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from checks.assemblies import assembly
from checks.checkov import check_checkov
from checks.nag import check_nag
from checks.outcome import BIN, ENVIRONMENTS, Outcome, judge
from checks.state_machines import check_state_machines
from passerelle.errors import PasserelleError

#: Lines of one check that are printed; the rest is seen by running that check alone, with its own tool.
PRINTED: Final = 60
#: The checks start processes of their own; CI and laptops have two cores.
AT_ONCE: Final = 2


@dataclass(frozen=True)
class Check:
    """One line of the result; those `of_assemblies` are not run where a synthesis has failed."""

    name: str
    run: Callable[[], Outcome]
    of_assemblies: bool = False


def check_templates(found: Callable[[str], Path]) -> Outcome:
    """Lint every template: errors, warnings and advice alike."""
    templates = [path for name in ENVIRONMENTS for path in sorted(found(name).glob("*.template.json"))]
    return judge(
        [BIN / "cfn-lint", *templates],
        looked_at=f"{len(templates)} templates",
        remedy="Change the construct; .cfnlintrc.yaml holds what is meant to be so, with the reason.",
    )


def synthesise(environment: str, found: Callable[[str], Path]) -> Outcome:
    """Synthesise, which fails where a rule of cdk-nag is broken."""
    return Outcome(f"{len(list(found(environment).glob('*.template.json')))} stacks")


def every_check(found: Callable[[str], Path]) -> tuple[Check, ...]:
    """Return all checks, those that take long first; `found` gives an environment's assembly."""
    ruff = BIN / "ruff"
    types = partial(judge, [BIN / "mypy"], looked_at="types", remedy="Repair the types.")
    imports = partial(judge, [BIN / "lint-imports"], looked_at="imports", remedy="pyproject.toml says who may.")
    words = {"remedy": "make format", "looked_at": "all Python files"}
    return (
        # Without its cache, mypy takes as long as everything else together.
        Check("mypy", types),
        *(Check(f"synth-{name}", partial(synthesise, name, found)) for name in ENVIRONMENTS),
        Check("checkov", partial(check_checkov, found), of_assemblies=True),
        Check("cfn-lint", partial(check_templates, found), of_assemblies=True),
        Check("cdk-nag", partial(check_nag, found), of_assemblies=True),
        Check("asl", partial(check_state_machines, found), of_assemblies=True),
        Check("imports", imports),
        Check("ruff", partial(judge, [ruff, "check", "--output-format", "concise", "."], **words)),
        Check("format", partial(judge, [ruff, "format", "--check", "--output-format", "concise", "."], **words)),
    )


def run_checks(checks: Sequence[Check]) -> bool:
    """Run checks and print each as it ends; returns whether all have passed. What reads assemblies waits for them."""
    waiting, running, failed = list(checks), dict[Future[Outcome], tuple[Check, float]](), list[str]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while waiting or running:
            under_way = [*waiting, *(check for check, _ in running.values())]
            synthesised = not any(check.name.startswith("synth-") for check in under_way)
            ready = [check for check in waiting if synthesised or not check.of_assemblies]
            for check in ready[: AT_ONCE - len(running)]:
                waiting.remove(check)
                running[pool.submit(check.run)] = (check, time.monotonic())
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                check, start = running.pop(future)
                count = f"{len(checks) - len(waiting) - len(running):2}/{len(checks)}"
                if not _say(count, check.name, time.monotonic() - start, future):
                    failed.append(check.name)
            if any(name.startswith("synth-") for name in failed):
                waiting = [check for check in waiting if not check.of_assemblies]
    print(f"Not passed: {', '.join(failed)}" if failed else f"All {len(checks)} checks have passed.")
    return not failed


def _say(count: str, name: str, seconds: float, future: Future[Outcome]) -> bool:
    try:
        outcome = future.result()
    except PasserelleError as error:
        outcome = Outcome("", tuple(str(error).splitlines()))
    result = "FAILED" if outcome.problems else "ok"
    print(f"{count}  {name:14} {result:7} {seconds:5.1f} s  {outcome.looked_at}".rstrip())
    for line in outcome.problems[:PRINTED]:
        print(f"       {line}")
    if len(outcome.problems) > PRINTED:
        print(f"       … and {len(outcome.problems) - PRINTED} lines more")
    if outcome.problems and outcome.remedy:
        print(f"       Remedy: {outcome.remedy}")
    sys.stdout.flush()
    return not outcome.problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is named, or everything."""
    checks = every_check(cache(assembly))
    known = [check.name for check in checks]
    parser = argparse.ArgumentParser(prog="python -m checks", description="Run all checks, or the named ones.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args(arguments).names
    for name in set(names) - set(known):
        parser.error(f"there is no check {name!r}; there are {', '.join(known)}")
    return 0 if run_checks([check for check in checks if not names or check.name in names]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
