"""Where our own code ends: boto3's clients, what Python offers, and packages that are not followed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from tests.infra.iam.botocore_model import METHODS
from tests.infra.iam.calls import AnalysisError, ApiCall
from tests.infra.iam.program import Program
from tests.infra.iam.values import (
    ANY,
    NONE,
    NOTHING,
    UNKNOWN,
    BuiltinMethod,
    Class,
    Client,
    ClientMethod,
    External,
    Function,
    Instance,
    Items,
    Module,
    Paginator,
    Record,
    Row,
    Text,
    Unknown,
    Value,
    Values,
    abstract,
    elements,
    join,
    only,
    texts,
)

#: What a session is called that has another account's credentials, and how its clients' services are marked: what
#: they call needs nothing of our roles, but of the role that was lent (lending.py).
_LENT_SESSION: Final = "boto3.Session.lent"
LENT: Final = "lent:"
_CLIENT_FACTORIES: Final = (
    "boto3.client", "boto3.Session.client", "boto3.session.Session.client", f"{_LENT_SESSION}.client",
)  # fmt: skip
_NEVER_FOLLOWED: Final = ("boto3.resource", "boto3.Session.resource")
#: They make something of a function without calling it.
_WRAPPERS: Final = (
    "functools.wraps", "functools.cache", "functools.lru_cache", "functools.cached_property", "contextlib.",
    "dataclasses.",
)  # fmt: skip
#: Modules with other clients, whose methods have names that AWS's have, too.
NOT_AWS: Final = {
    "passerelle.aws.experiment_log": "MLflow's client: HTTP to the tracking server",
    "passerelle.aws.model_registry": "MLflow's client: HTTP to the tracking server",
    "passerelle.aws.mlflow_models": "writes a folder, calls nobody",
    "training.prepare.engine": "DuckDB, in the process itself",
}
#: Whose records are read from the environment that the template gives.
SETTINGS: Final = "passerelle.settings"
Arguments = Mapping[str, Values]


class Outside:
    """What calling something does that is not our code."""

    def __init__(
        self,
        program: Program,
        environ: Mapping[str, str] | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.program, self._environ, self._parameters = program, environ or {}, parameters or {}
        self.calls: set[ApiCall] = set()
        self.heap: dict[Instance, dict[str, Values]] = {}
        self.place = ("", 0)
        self._memo: dict[Any, tuple[Values, frozenset[ApiCall]]] = {}
        self._globals: dict[tuple[str, str], Values] = {}
        self._working: set[Any] = set()
        self._returned: set[Value] = set()
        self._yielded: set[Value] = set()

    def call_function(self, function: Function, positional: tuple[Values, ...], named: Arguments) -> Values:
        raise NotImplementedError

    def call_overrides(self, value: Instance) -> None:
        raise NotImplementedError

    def attribute(self, value: Value, name: str) -> Values:
        raise NotImplementedError

    # Other code

    def _call_external(self, name: str, positional: tuple[Values, ...], named: Arguments, place: str) -> Values:
        everything = (*positional, *named.values())
        if not name.startswith(_WRAPPERS):
            self._pass_on(name, everything, place)
        first = positional[0] if positional else NOTHING
        if name == "builtins.getattr":
            return self._getattr(first, positional[1] if len(positional) > 1 else UNKNOWN, place)
        match name.removeprefix("builtins."):
            case "sorted" | "list" | "tuple" | "set" | "frozenset" | "reversed" | "iter":
                return only(Items(elements(first) or UNKNOWN))
            case "next" | "max" | "min":
                return join(elements(first), *positional[1:], UNKNOWN)
            case "dict" if first and not named:
                return frozenset(value if isinstance(value, Record) else Unknown() for value in first)
            case "str":
                return frozenset(value if isinstance(value, Text) else Text(ANY) for value in first)
        return UNKNOWN

    def _getattr(self, owners: Values, names: Values, place: str) -> Values:
        ours = [value for value in owners if isinstance(value, Instance | Class | Module)]
        if ours and any(ANY in name for name in texts(names)):
            raise AnalysisError(f"{place}: getattr with a name that is not known here cannot be followed")
        return join(UNKNOWN, *(self.attribute(value, name) for value in ours for name in texts(names)))

    def _pass_on(self, to: str, arguments: tuple[Values, ...], place: str) -> None:
        """Code that is not ours may call what it is given."""
        for value in join(*arguments):
            if isinstance(value, Function):
                self.call_function(value, (), {})
            elif isinstance(value, Instance):
                self.call_overrides(value)
            elif isinstance(value, ClientMethod):
                self._call_client(value, (), {}, all_known=False)
            elif isinstance(value, Client | Paginator) and not to.startswith("builtins.print"):
                raise AnalysisError(f"{place}: a client of {value.service} is given to {to}, which cannot be followed")

    def _call_builtin_method(
        self, called: BuiltinMethod, positional: tuple[Values, ...], named: Arguments, place: str
    ) -> Values:
        self._pass_on(f"method {called.name}", (*positional, *named.values()), place)
        if isinstance(called.on, Class):
            return self._read_settings(called.on)
        on, arguments = called.on, [next(iter(values)) for values in positional if len(values) == 1]
        if isinstance(on, Record):
            key = arguments[0] if arguments else None
            if called.name == "get" and isinstance(key, Text):
                return on.get(key.text)
            if called.name == "get" and on.complete and positional:
                return join(*(values for _, values in on.items), *(positional[1:] or [NONE]))
            if called.name in ("values", "items"):
                return only(Items(UNKNOWN if not on.items else join(*(v for _, v in on.items), UNKNOWN)))
        if not isinstance(on, Text) or not hasattr(on.text, called.name):
            # What isn't a method of texts is called on another value that the same name may hold.
            return UNKNOWN
        if ANY not in on.text and len(arguments) == len(positional) and not named:
            plain = [getattr(item, "text", getattr(item, "value", Ellipsis)) for item in arguments]
            if Ellipsis not in plain and all(not isinstance(item, Text) or ANY not in item.text for item in arguments):
                found = getattr(on.text, called.name)(*plain)
                return only(Row(tuple(map(abstract, found)))) if isinstance(found, list | tuple) else abstract(found)
        return UNKNOWN

    def _read_settings(self, class_: Class) -> Values:
        """Read a function's settings as it does itself, from the environment that its template gives it."""
        record = getattr(importlib.import_module(SETTINGS), class_.node.name)
        instance = Instance(class_, ())
        settings = record.from_env(self._environ)
        self.heap[instance] = {item.name: abstract(getattr(settings, item.name)) for item in fields(settings)}
        return only(instance)

    # Clients

    def _make_client(self, name: str, positional: tuple[Values, ...], named: Arguments, place: str) -> Values | None:
        if name in _NEVER_FOLLOWED:
            raise AnalysisError(f"{place}: {name} is not followed; use a client")
        if name in ("boto3.Session", "boto3.session.Session"):
            return only(External(_LENT_SESSION if "aws_session_token" in named else "boto3.Session"))
        if name not in _CLIENT_FACTORIES:
            return None
        services = positional[0] if positional else named.get("service_name", UNKNOWN)
        if not all(isinstance(value, Text) and ANY not in value.text for value in services):
            raise AnalysisError(f"{place}: the service of this client is not known here")
        mark = LENT if name.startswith(_LENT_SESSION) else ""
        return frozenset(Client(mark + value.text) for value in services if isinstance(value, Text))

    def _call_client(
        self, called: ClientMethod, positional: tuple[Values, ...], named: Arguments, all_known: bool
    ) -> Values:
        file, line = self.place
        if called.name in ("get_paginator", "get_waiter"):
            name = next(iter(positional[0] if positional else UNKNOWN))
            if not isinstance(name, Text) or ANY in name.text:
                raise AnalysisError(f"{file}:{line}: the operation of this paginator or waiter is not known here")
            return only(Paginator(called.service, f"{called.name}:{name.text}"))
        arguments = {**{str(number): values for number, values in enumerate(positional)}, **named}
        call = ApiCall(called.service, called.name, Record(tuple(arguments.items()), all_known), file, line)
        self.calls.add(call)
        return self._answer(call)

    def _answer(self, call: ApiCall) -> Values:
        """Return what AWS answers, where it is known: SSM parameters of the templates, and what a build is called."""
        if (call.service.removeprefix(LENT), call.method) == ("ssm", "get_parameter"):
            found = [self._parameters.get(name) for name in texts(call.argument("Name"))]
            return join(*(UNKNOWN if value is None else abstract({"Parameter": {"Value": value}}) for value in found))
        if (call.service, call.method) == ("ssm", "get_paginator:get_parameters_by_path"):
            paths = texts(call.argument("Path"))
            names = [{"Name": name} for name in self._parameters if name.rpartition("/")[0] in paths]
            return abstract([{"Parameters": names}]) if names else UNKNOWN
        if (call.service, call.method) == ("codebuild", "start_build"):
            return join(*(abstract({"build": {"id": f"{name}:{ANY}"}}) for name in texts(call.argument("projectName"))))
        return UNKNOWN

    def watch(self, owners: Values, name: str, place: str) -> None:
        """Refuse a method that looks like one of boto3's on something that is not followed: it may be a client."""
        module = place.partition(":")[0]
        if "_" not in name or name not in METHODS or module in NOT_AWS:
            return
        if any(isinstance(value, Unknown) for value in owners):
            raise AnalysisError(f"{place}: .{name}() may be a call of AWS, but its client cannot be followed")
