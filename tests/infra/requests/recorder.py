"""Record every request that boto3's clients are about to make, with the line of ours that makes it, and judge it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import boto3.s3.inject
from botocore.client import BaseClient
from botocore.paginate import PageIterator, Paginator

from tests.infra.conftest import ROOT
from tests.infra.requests.judge import problems

Answer = Callable[[str, str, Mapping[str, Any]], Any]
Place = tuple[str, int]


@dataclass(frozen=True)
class Recorded:
    """One request: of which service's operation, from which lines of ours (the innermost first), and what is wrong."""

    service: str
    operation: str
    request: dict[str, Any]
    places: tuple[Place, ...]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        where = ", ".join(f"{file}:{line}" for file, line in self.places[:2])
        return f"{self.service}:{self.operation} from {where}: {'; '.join(self.problems)}"


@dataclass
class Recorder:
    """What was asked. `answer` is asked first; it returns None for what is to go on to whoever answers otherwise."""

    answer: Answer
    recorded: list[Recorded] = field(default_factory=list)
    _at: threading.local = field(default_factory=threading.local)

    def wrong(self) -> list[str]:
        """Return every request that AWS would refuse."""
        return sorted({str(item) for item in self.recorded if item.problems})

    def places(self) -> set[Place]:
        """Return the lines of ours from which a request was made."""
        return {place for item in self.recorded for place in item.places}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Record while this lasts: methods of clients, pages (made where `paginate` was called) and S3's transfers."""
        client_type: Any = BaseClient
        pages_type: Any = PageIterator
        call, paginate, page = client_type._make_api_call, Paginator.paginate, pages_type._make_request

        def make_api_call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            return self._call(client, operation, parameters, call)

        def paginated(paginator: Any, **parameters: Any) -> Any:
            pages: Any = paginate(paginator, **parameters)
            pages.made_at = our_places(sys._getframe(1))
            return pages

        def make_page(pages: Any, parameters: Any) -> Any:
            with self._made_at(pages.made_at):
                return page(pages, parameters)

        with (
            mock.patch.object(BaseClient, "_make_api_call", make_api_call),
            mock.patch.object(Paginator, "paginate", paginated),
            mock.patch.object(PageIterator, "_make_request", make_page),
            mock.patch.object(boto3.s3.inject, "upload_file", self._transfer(boto3.s3.inject.upload_file)),
        ):
            yield

    def _transfer(self, transfer: Callable[..., Any]) -> Callable[..., Any]:
        """s3transfer's own threads know nothing of our lines."""

        def transferred(*positional: Any, **named: Any) -> Any:
            self.recorded.append(Recorded("s3", "upload_file", {}, our_places(sys._getframe(1)), ()))
            return transfer(*positional, **named)

        return transferred

    @contextmanager
    def _made_at(self, places: tuple[Place, ...]) -> Iterator[None]:
        self._at.places = places
        try:
            yield
        finally:
            self._at.places = None

    def _call(self, client: Any, operation: str, parameters: dict[str, Any], real: Callable[..., Any]) -> Any:
        service = client.meta.service_model.service_name
        places = getattr(self._at, "places", None) or our_places(sys._getframe(2))
        wrong = tuple(problems(service, operation, _finished(client, operation, parameters)))
        self.recorded.append(Recorded(service, operation, dict(parameters), places, wrong))
        answered = self.answer(service, operation, parameters)
        return real(client, operation, parameters) if answered is None else answered


def _finished(client: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters as boto3's own handlers leave them: S3's CopySource is a text by then, tokens are made."""
    model = client.meta.service_model.operation_model(operation)
    context = {"client_region": client.meta.region_name, "client_config": client.meta.config, "signing": {}}
    found: dict[str, Any] = client._emit_api_params(_copied(parameters), model, context)
    return found


def _copied(value: Any) -> Any:
    """Return a copy in which handlers may change members; bodies are streams, and stay what they are."""
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def our_places(frame: Any) -> tuple[Place, ...]:
    """Return the lines of our packages on the stack, the innermost first."""
    found = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OURS:
            position = list(frame.f_code.co_positions())[frame.f_lasti // 2]
            found.append((str(path.relative_to(ROOT)), position[0] or frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


OURS: Collection[str] = ("passerelle", "cli", "lambdas", "training")
