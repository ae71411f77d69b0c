"""One record for each row of a request: the contract of `contracts.prediction`, and nothing personal in it."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from passerelle.contracts.prediction import INPUT, OWN_REQUEST, PROBABILITIES, Columns, prediction_columns
from passerelle.domain.predictions.bodies import Answers, Row, read_answers, request_rows
from passerelle.domain.predictions.cells import Value, cell_text, read_cell
from passerelle.domain.predictions.exchange import BrokenExchangeError, Exchange
from passerelle.domain.project import Project
from passerelle.errors import InputError, SettingsError

Record = dict[str, Value | list[float]]


class RefusedExchangeError(InputError):
    """The server refused the request: there is no prediction to record."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """What answers leave out: the model's version, its inputs in order, and by which probability it decides."""

    version: str | None
    inputs: tuple[str, ...]
    threshold: float | None


#: What is known of the model that answered: by its run where the answer says so, else by exchange.
FindModel = Callable[[Exchange, str | None], ServedModel | None]


class Recorder:
    """Makes records of one project's exchanges.

    Columns that a caller may send and that are not personal are kept, each with the contract's type; whatever else a
    request holds is dropped. A personal entity is kept as a keyed hash (HMAC-SHA256, RFC 2104): equal entities stay
    equal, and who has not the key cannot try them out.
    """

    def __init__(self, project: Project, *, model: str, find_model: FindModel, hash_key: bytes = b"") -> None:
        self._project, self._model, self._find_model, self._hash_key = project, model, find_model, hash_key
        self._inputs = project.derivable_columns
        self._entity = tuple(project.column(name) for name in project.data.entity_id)
        self._known = frozenset(column.name for column in project.data.columns)
        self._null_words = frozenset(project.data.null_values)
        if project.personal_entity and not hash_key:
            raise SettingsError(
                f"Project {project.name}: its entity is personal, and there is no key to hash it with. Deploy again: "
                "the key is made with the first project that needs it."
            )

    @property
    def columns(self) -> Columns:
        """The columns of the records, in order."""
        return prediction_columns(((column.name, column.type) for column in self._inputs), self._project.task.type)

    def records(self, exchange: Exchange, variant: str) -> list[Record]:
        """Return the records of an exchange, none of what a deployment asked itself.

        Raises BrokenExchangeError with the reason, RefusedExchangeError when the server refused the request.
        """
        if exchange.inference_id == OWN_REQUEST:
            return []
        try:
            return self._records(exchange, variant)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BrokenExchangeError(f"request or answer is in no known form: {type(error).__name__}") from error

    def _records(self, exchange: Exchange, variant: str) -> list[Record]:
        answers = read_answers(exchange.answered)
        if answers is None:
            raise RefusedExchangeError("the request was refused")
        rows = request_rows(exchange.asked, self._known, lambda: self._served(exchange, answers).inputs)
        if len(rows) != len(answers.predictions):
            raise BrokenExchangeError(f"{len(rows)} rows were asked and {len(answers.predictions)} answered")
        version, threshold = answers.version, answers.threshold
        binary = self._project.task.type == "binary"
        if version is None or (binary and threshold is None):
            served = self._find_model(exchange, answers.run_id)
            version = version or (served.version if served else None)
            threshold = served.threshold if served and threshold is None else threshold
        return [
            {
                "inference_id": exchange.inference_id,
                "request_row": exchange.first_row + index,
                "event_time": exchange.moment,
                "model": self._model,
                "version": version,
                "variant": variant,
                "entity_id": self._entity_id(row),
                **{f"{INPUT}{column.name.lower()}": self._cell(row, column) for column in self._inputs},
                **self._outcome(answers, index, threshold),
                "latency_ms": exchange.latency_ms,
                **self._shares(answers, index),
            }
            for index, row in enumerate(rows)
        ]

    def _served(self, exchange: Exchange, answers: Answers) -> ServedModel:
        served = self._find_model(exchange, answers.run_id)
        if served is None:
            raise BrokenExchangeError("values without names, and it is not known which model answered them")
        return served

    def _cell(self, row: Row, column: Any) -> Value:
        return read_cell(row.get(column.name), column.type, self._null_words)

    def _entity_id(self, row: Row) -> str | None:
        """Return the entity; None when the request does not say all of it."""
        if any(column.name not in row for column in self._entity):
            return None
        text = "|".join(cell_text(self._cell(row, column)) for column in self._entity)
        if not self._project.personal_entity:
            return text
        return hmac.new(self._hash_key, f"{self._project.name}\0{text}".encode(), hashlib.sha256).hexdigest()

    def _shares(self, answers: Answers, index: int) -> Record:
        """Return the probability of each of several classes; of other tasks nothing, the score says it all."""
        if self._project.task.type != "multiclass":
            return {}
        return {PROBABILITIES: _finite(answers.shares[index]) if answers.shares else None}

    def _outcome(self, answers: Answers, index: int, threshold: float | None) -> Record:
        task, prediction = self._project.task.type, answers.predictions[index]
        if task == "regression":
            return {"score": float(prediction), "decision": None}
        shares = answers.shares[index] if answers.shares else None
        if task == "multiclass":
            return {"score": float(max(shares)) if shares else None, "decision": str(prediction)}
        score = float(shares[1]) if shares else None
        if answers.decisions is not None:
            decided: bool | None = bool(answers.decisions[index])
        else:
            decided = None if score is None or threshold is None else score >= threshold
        return {"score": score, "decision": None if decided is None else str(decided).lower()}


def _finite(shares: Sequence[float]) -> list[float] | None:
    """Return probabilities; None where one is no number: what is left of them would be of other classes."""
    found = [float(share) for share in shares]
    return found if all(math.isfinite(share) for share in found) else None
