"""The answers of two models to the same requests, from what their endpoint captured of both.

A model's answer follows from the request alone, so equal requests are the same request: whether or not the caller gave
an inference id, and whatever ids SageMaker gave the copy that the shadow got.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from passerelle.domain.experiment.agreement import Answers
from passerelle.domain.predictions.bodies import Answers as Captured
from passerelle.domain.predictions.bodies import read_answers, request_rows
from passerelle.domain.predictions.exchange import BrokenExchangeError, Exchange
from passerelle.domain.project import Project

Array = npt.NDArray[Any]
#: Of one row: what was decided, and the score.
_Said = tuple[Any, float | None]


@dataclass(frozen=True)
class Pairs:
    """Rows that both models answered, shape (rows,) each; `entities` are equal for rows that vary together.

    `unpaired` counts the challenger's requests that were captured of it alone, `unreadable` those of either whose
    answer is none.
    """

    champion: Answers
    challenger: Answers
    entities: Array
    unpaired: int
    unreadable: int

    @property
    def rows(self) -> int:
        return len(self.entities)


class Pairing:
    """Takes the champion's exchanges first, then the challenger's, and keeps of each request only what was said."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[bytes, list[_Said]] = {}
        self._pairs: list[tuple[_Said, _Said]] = []
        self._entities: list[str] = []
        self._unpaired = self._unreadable = 0

    def add_champion(self, exchanges: Iterable[Exchange], threshold: float | None) -> None:
        for exchange in exchanges:
            said = self._read(exchange, threshold)
            if said is not None:
                self._known.setdefault(_key(exchange), said)

    def add_challenger(self, exchanges: Iterable[Exchange], threshold: float | None) -> None:
        for exchange in exchanges:
            said, key = self._read(exchange, threshold), _key(exchange)
            if said is None:
                continue
            theirs = self._known.get(key)
            if theirs is None or len(theirs) != len(said):
                self._unpaired += 1
                continue
            self._pairs += zip(theirs, said, strict=True)
            self._entities += self._entities_of(exchange, key, len(said))

    def pairs(self) -> Pairs:
        """Return what both answered."""
        champion, challenger = ([pair[side] for pair in self._pairs] for side in (0, 1))
        return Pairs(
            _answers(champion), _answers(challenger), np.array(self._entities, str), self._unpaired, self._unreadable
        )

    def _read(self, exchange: Exchange, threshold: float | None) -> list[_Said] | None:
        try:
            answers = read_answers(exchange.answered)
            return None if answers is None else _said(answers, self._project.task.type, threshold)
        except (BrokenExchangeError, KeyError, TypeError, ValueError, IndexError):
            self._unreadable += 1
            return None

    def _entities_of(self, exchange: Exchange, key: bytes, rows: int) -> list[str]:
        """Return the contract's entity of each row; rows that do not say theirs vary with those of their request."""
        names = self._project.data.entity_id
        known = frozenset(column.name for column in self._project.data.columns)
        found: list[str] = []
        if names:
            try:
                asked = request_rows(exchange.asked, known, tuple)
                found = ["" if _lacks(row, names) else repr([str(row[name]) for name in names]) for row in asked]
            except (BrokenExchangeError, KeyError, TypeError, ValueError, AttributeError):
                found = []
        alone = key.hex()
        return [entity or alone for entity in found] if len(found) == rows else [alone] * rows


def _lacks(row: Mapping[str, Any], names: Iterable[str]) -> bool:
    return any(row.get(name) in (None, "") for name in names)


def _key(exchange: Exchange) -> bytes:
    kind = exchange.asked.content_type.lower().replace(" ", "").encode()
    return hashlib.sha256(kind + b"\0" + exchange.asked.body).digest()


def _said(answers: Captured, task: str, threshold: float | None) -> list[_Said]:
    if task == "regression":
        return [(None, float(prediction)) for prediction in answers.predictions]
    if task == "multiclass":
        return [(str(prediction), None) for prediction in answers.predictions]
    scores = [float(shares[1]) for shares in answers.shares] if answers.shares else [None] * len(answers.predictions)
    at = answers.threshold if answers.threshold is not None else threshold
    decisions: list[Any]
    if answers.decisions is not None:
        decisions = [bool(one) for one in answers.decisions]
    elif at is not None and answers.shares:
        decisions = [score is not None and score >= at for score in scores]
    else:
        decisions = [str(prediction) for prediction in answers.predictions]
    return list(zip(decisions, scores, strict=True))


def _answers(said: list[_Said]) -> Answers:
    decisions, scores = ([one[part] for one in said] for part in (0, 1))
    return Answers(
        decisions=None if None in decisions else np.array([str(one) for one in decisions]),
        scores=None if None in scores else np.array(scores, dtype=np.float64),
    )
