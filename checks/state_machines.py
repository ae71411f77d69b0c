"""State machines as they are deployed: Amazon States Language by asl-validator, and every name in every expression.

asl-validator knows the language's schema, its transitions and JSONata's syntax. It takes `$contans(…)` and
`$state.input` for valid, which fail when the state runs; so names are looked up here.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from jsonata import Jsonata

from checks.outcome import ENVIRONMENTS, ROOT, Outcome, run

REMEDY: Final = "Repair infra/state_machines/*.asl.json; https://states-language.net is the language."
VALIDATOR: Final = ROOT / "node_modules/.bin/asl-validator"
#: What Step Functions adds to JSONata (developer guide, "Transforming data with JSONata"); `$eval` it leaves out.
OWN_NAMES: Final = frozenset({"states", "partition", "range", "hash", "random", "uuid", "parse"})
LEFT_OUT: Final = frozenset({"eval"})


def check_state_machines(assembly: Callable[[str], Path]) -> Outcome:
    """Judge every state machine of every environment."""
    with tempfile.TemporaryDirectory() as folder:
        machines = {}
        for environment in ENVIRONMENTS:
            for name, definition in definitions(assembly(environment)):
                path = Path(folder) / f"{environment}-{name}.asl.json"
                path.write_text(definition, encoding="utf-8")
                machines[path] = definition
        problems = [*validate(machines)]
    for path, definition in machines.items():
        problems += [f"{path.name}: {words}" for words in unknown_names(json.loads(definition))]
    expressions = sum(len(list(_expressions(json.loads(text)))) for text in machines.values())
    return Outcome(f"{len(machines)} state machines, {expressions} JSONata expressions", tuple(problems), REMEDY)


def definitions(assembly: Path) -> Iterator[tuple[str, str]]:
    """Yield the logical id and the definition of each state machine, its placeholders filled as at deployment."""
    for template in sorted(assembly.glob("*.template.json")):
        for logical, resource in json.loads(template.read_text("utf-8"))["Resources"].items():
            if resource["Type"] == "AWS::StepFunctions::StateMachine":
                yield logical, _filled(resource["Properties"])


def _filled(properties: Mapping[str, Any]) -> str:
    given = properties.get("DefinitionSubstitutions", {})

    def value(match: re.Match[str]) -> str:
        # What only CloudFormation knows is an ARN: of a function, or of another state machine.
        found = given[match[1]]
        return found if isinstance(found, str) else f"arn:aws:lambda:us-east-1:111111111111:function:{match[1]}"

    return re.sub(r"\$\{(\w+)\}", value, properties["DefinitionString"])


def validate(machines: Mapping[Path, str]) -> Iterator[str]:
    """Yield what asl-validator has against the files."""
    words = [part for path in machines for part in ("--json-path", str(path))]
    code, printed = run([VALIDATOR, *words])
    if code:
        yield from (line for line in printed.splitlines() if line.strip() and not line.startswith("✓"))


def unknown_names(machine: Mapping[str, Any]) -> Iterator[str]:
    """Yield each `$name` that neither JSONata nor Step Functions knows, and that no state assigns."""
    known = (_builtins() - LEFT_OUT) | OWN_NAMES | set(_assigned(machine))
    for expression in _expressions(machine):
        names, bound = set[str](), set[str]()
        _walk(Jsonata(expression[2:-2].strip()).ast, names, bound, seen=set())
        yield from (f"${name} is unknown in {expression}" for name in sorted(names - bound - known))


def _builtins() -> set[str]:
    # Functions are bound in the frame that every expression starts with; `$` is the value at hand, `$$` the root.
    return {str(name) for name in Jsonata("1").environment.parent.bindings} | {"", "$"}


def _assigned(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value.get("Assign", {})
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _assigned(item)


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _expressions(item)
    elif isinstance(value, str) and value.startswith("{%"):
        yield value


def _walk(node: Any, names: set[str], bound: set[str], *, seen: set[int]) -> None:
    """Gather the variables that a parsed expression reads, and those that it binds itself."""
    if isinstance(node, list | tuple):
        for item in node:
            _walk(item, names, bound, seen=seen)
        return
    if not hasattr(node, "type") or id(node) in seen:
        return
    seen.add(id(node))
    if node.type == "variable":
        names.add(str(node.value))
    if node.type == "bind":
        bound.add(str(node.lhs.value))
    if node.type == "lambda":
        bound |= {str(argument.value) for argument in node.arguments}
    for key, value in vars(node).items():
        if key != "_outer_instance":
            _walk(value, names, bound, seen=seen)
