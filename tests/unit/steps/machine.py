"""Walk through a state machine's definition with the functions' real handlers, as Step Functions would call them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from jsonata import Jsonata

from .world import ROOT

CONTEXT = SimpleNamespace(function_name="f", memory_limit_in_mb=512, aws_request_id="r", invoked_function_arn="arn:f")
Task = Callable[[Any], Any]


def load_handler(name: str) -> Callable[[Any, Any], Any]:
    """Import a function's handler anew, as a fresh Lambda environment does."""
    path = ROOT / "lambdas" / name / "handler.py"
    spec = importlib.util.spec_from_file_location(f"fresh_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Callable[[Any, Any], Any] = module.handler
    return handler


class TaskError(Exception):
    """What a task of a test raises for an error of AWS, by the name and with the cause that Step Functions gives it."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(error, cause)
        self.output = {"Error": error, "Cause": cause}


@dataclass
class Machine:
    """One definition. `tasks` stand for what is no function, by state; `visited` and `events` tell what was called."""

    file: str
    tasks: dict[str, Task]
    execution: dict[str, Any]
    visited: list[str] = field(default_factory=list)
    events: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, list[Any]] = field(default_factory=dict)

    def run(self, value: Any, *, limit: int = 60) -> Any:
        """Return the output of the last state."""
        definition = json.loads((ROOT / "infra/state_machines" / self.file).read_text().replace("${PollSeconds}", "1"))
        return self._run(definition, value, limit)

    def _run(self, definition: dict[str, Any], value: Any, limit: int) -> Any:
        name: str | None = definition["StartAt"]
        while name is not None:
            assert len(self.visited) < limit, self.visited
            self.visited.append(name)
            state = definition["States"][name]
            if state["Type"] == "Map":
                for item in self._evaluate(state["Items"], value, None):
                    self._run(state["ItemProcessor"], item, limit)
            value, name = self._step(name, state, value)
        return value

    def _step(self, name: str, state: dict[str, Any], value: Any) -> tuple[Any, str | None]:
        if state["Type"] == "Choice":
            matching = (rule for rule in state["Choices"] if self._evaluate(rule["Condition"], value, None))
            return value, next(matching, {"Next": state["Default"]})["Next"]
        if state["Type"] == "Fail":
            raise AssertionError(f"{name}: {self._evaluate(state['Cause'], value, None)}")
        if state["Type"] == "Succeed":
            return self._evaluate(state.get("Output", "{% $states.input %}"), value, None), None
        if state["Type"] == "Task":
            arguments = self._evaluate(state["Arguments"], value, None)
            try:
                result = _through_json(self._call(name, state["Resource"], arguments))
            except TaskError as error:
                return self._catch(state, value, error)
            value = self._evaluate(state.get("Output", "{% $states.result %}"), value, result)
        elif "Output" in state:
            value = self._evaluate(state["Output"], value, None)
        return value, state.get("Next")

    def _catch(self, state: dict[str, Any], value: Any, error: TaskError) -> tuple[Any, str | None]:
        for catcher in state.get("Catch", ()):
            if error.output["Error"] in catcher["ErrorEquals"]:
                return self._evaluate(catcher["Output"], value, None, error.output), catcher["Next"]
        raise error

    def _call(self, name: str, resource: str, arguments: Any) -> Any:
        if resource != "arn:aws:states:::lambda:invoke":
            self.arguments.setdefault(name, []).append(arguments)
            return self.tasks[name](arguments)
        self.events[name] = arguments["Payload"]
        function = arguments["FunctionName"].strip("${}")
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in function).lstrip("_")
        return {"Payload": load_handler(snake)(arguments["Payload"], CONTEXT)}

    def _evaluate(self, template: Any, value: Any, result: Any, error: Any = None) -> Any:
        if isinstance(template, dict):
            return {key: self._evaluate(part, value, result, error) for key, part in template.items()}
        if not (isinstance(template, str) and template.startswith("{%")):
            return template
        expression = Jsonata(template[2:-2].strip())
        context = {"Execution": self.execution}
        expression.assign("states", {"input": value, "result": result, "errorOutput": error, "context": context})
        return _through_json(expression.evaluate(None))


def _through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
