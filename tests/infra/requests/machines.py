"""Walk through a deployed state machine as Step Functions does: JSONata, choices, catches, branches and maps.

A Task's arguments are rendered and judged; who answers is the caller's matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from jsonata import Jsonata

from tests.infra.conftest import ROOT
from tests.infra.iam.states import definition
from tests.infra.iam.templates import Assembly, Resource
from tests.infra.requests.integrations import Integration, too_large

FILES: Final = ROOT / "infra" / "state_machines"
State = dict[str, Any]
#: (integration, request of AWS's API, arguments as rendered) -> result
Call = Callable[[Integration, Mapping[str, Any], Mapping[str, Any]], Any]
_LONGEST: Final = 200


class RefusalError(Exception):
    """A service's error, as a Catch sees it."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class ScenarioError(AssertionError):
    """A walk went another way than to the end."""


class FailedError(ScenarioError):
    """A walk ended in a state of type Fail."""

    def __init__(self, why: str, state: str) -> None:
        super().__init__(why)
        self.state = state


@dataclass(frozen=True)
class Rendered:
    """One request that a state would send."""

    file: str
    state: str
    integration: str
    request: Mapping[str, Any]
    problems: tuple[str, ...]


def task_states() -> set[tuple[str, str]]:
    """Return every Task of every definition, those in branches and maps as well, as (file, state)."""
    return {
        (path.name, name)
        for path in FILES.glob("*.asl.json")
        for name, state in _all_states(json.loads(path.read_text(encoding="utf-8")))
        if state["Type"] == "Task"
    }


def _all_states(machine: Mapping[str, Any]) -> Iterator[tuple[str, State]]:
    for name, state in machine["States"].items():
        yield name, state
        for inner in (*state.get("Branches", ()), *filter(None, [state.get("ItemProcessor")])):
            yield from _all_states(inner)


def machine_of(assembly: Assembly, arn: str) -> Resource:
    """Return the state machine of an ARN."""
    return next(item for item in assembly.of_type("AWS::StepFunctions::StateMachine") if assembly.arn_of(item) == arn)


def machine_of_file(assembly: Assembly, file: str) -> Resource | None:
    """Return the state machine that a definition in our sources describes, None where it is not deployed."""
    machines = assembly.of_type("AWS::StepFunctions::StateMachine")
    return next((item for item in machines if file_of(item) == file), None)


def file_of(machine: Resource) -> str:
    """Return the definition in our sources that has a deployed machine's states."""
    states = set(definition(machine)["States"])
    for path in FILES.glob("*.asl.json"):
        if set(json.loads(path.read_text(encoding="utf-8"))["States"]) == states:
            return path.name
    raise LookupError(f"{machine.label} has the states of no file in {FILES}")


@dataclass
class Walk:
    """One execution of one machine. `execution` is `$states.context.Execution`."""

    machine: Resource
    execution: Mapping[str, Any]
    call: Call
    models: Mapping[str, Mapping[str, Any]]
    rendered: list[Rendered] = field(default_factory=list)
    _variables: dict[str, Any] = field(default_factory=dict)

    def run(self, value: Any) -> Any:
        """Return what the last state gives."""
        self._file = file_of(self.machine)
        return self._run(definition(self.machine), value)

    def _run(self, machine: Mapping[str, Any], value: Any) -> Any:
        name: str | None = machine["StartAt"]
        steps = 0
        while name is not None:
            steps += 1
            if steps > _LONGEST or (problem := too_large(value)):
                raise ScenarioError(f"{self._file}, {name}: {problem if steps <= _LONGEST else 'walks in circles'}")
            value, name = self._step(name, machine["States"][name], value)
        return value

    def _step(self, name: str, state: State, value: Any) -> tuple[Any, str | None]:
        result: Any = None
        match state["Type"]:
            case "Choice":
                holds = (rule for rule in state["Choices"] if self._evaluate(rule["Condition"], value) is True)
                return value, next(holds, {"Next": state.get("Default")})["Next"]
            case "Fail":
                raise FailedError(f"{self._file}, {name}: {self._evaluate(state.get('Cause', ''), value)}", name)
            case "Succeed":
                return value, None
            case "Task":
                try:
                    result = self._task(name, state, value)
                except RefusalError as refusal:
                    return self._caught(name, state, value, refusal)
            case "Parallel":
                given = self._evaluate(state.get("Arguments", value), value)
                result = [self._run(branch, given) for branch in state["Branches"]]
            case "Map":
                result = [self._run(state["ItemProcessor"], item) for item in self._items(state, value)]
            case "Pass" | "Wait":
                result = value
            case other:
                raise LookupError(f"{self._file}, {name}: {other} is not walked through")
        for variable, template in state.get("Assign", {}).items():
            self._variables[variable] = self._evaluate(template, value, result)
        return self._evaluate(state["Output"], value, result) if "Output" in state else result, state.get("Next")

    def _items(self, state: State, value: Any) -> list[Any]:
        items = self._evaluate(state.get("Items", value), value)
        selector = state.get("ItemSelector")
        found = []
        for number, item in enumerate(items):
            context = {"Map": {"Item": {"Index": number, "Value": item}}}
            found.append(self._evaluate(selector, value, None, context) if selector is not None else item)
        return found

    def _task(self, name: str, state: State, value: Any) -> Any:
        integration = Integration.of(state["Resource"])
        arguments = self._evaluate(state.get("Arguments", {}), value)
        if not isinstance(arguments, dict):
            raise ScenarioError(f"{self._file}, {name}: its arguments are no object: {arguments!r}")
        request, problems = integration.judge(arguments, self.models)
        self.rendered.append(Rendered(self._file, name, integration.name, request, tuple(problems)))
        try:
            return _through_json(self.call(integration, request, arguments))
        except (RefusalError, ScenarioError):
            raise
        except Exception as error:
            raise ScenarioError(f"{self._file}, {name}: {type(error).__name__}: {error}") from error

    def _caught(self, name: str, state: State, value: Any, refusal: RefusalError) -> tuple[Any, str]:
        for catch in state.get("Catch", ()):
            if _matches(refusal.error, catch["ErrorEquals"]):
                error = {"Error": refusal.error, "Cause": refusal.cause}
                output = self._evaluate(catch.get("Output", error), value, None, {}, error)
                return output, catch["Next"]
        raise ScenarioError(f"{self._file}, {name}: nothing catches {refusal}")

    def _evaluate(
        self, template: Any, value: Any, result: Any = None, context: Mapping[str, Any] | None = None, error: Any = None
    ) -> Any:
        if isinstance(template, dict):
            return {key: self._evaluate(part, value, result, context, error) for key, part in template.items()}
        if isinstance(template, list):
            return [self._evaluate(part, value, result, context, error) for part in template]
        if not (isinstance(template, str) and template.startswith("{%")):
            return template
        expression = _parsed(template)
        states = {"input": value, "context": {"Execution": self.execution, **(context or {})}}
        states |= {"result": result} if result is not None else {}
        states |= {"errorOutput": error} if error is not None else {}
        expression.assign("states", states)
        for variable, known in self._variables.items():
            expression.assign(variable, known)
        return _through_json(expression.evaluate(None))


def _matches(error: str, names: list[str]) -> bool:
    """`SageMaker.SageMakerException` stands for every error of the service; of a task's errors none is a time-out here."""
    service = error.partition(".")[0]
    return bool({error, f"{service}.{service}Exception"} & {*names}) or bool(
        {"States.ALL", "States.TaskFailed"} & {*names}
    )


@cache
def _parsed(template: str) -> Jsonata:
    return Jsonata(template[2:-2].strip())


def _through_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
