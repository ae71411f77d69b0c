"""Scoring a prefix of objects: which of them a transform job still has to do, and in which form they are sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from passerelle.contracts.batch import BatchInput, BatchPlan
from passerelle.errors import InputError

OUTPUT: Final = ".out"
#: CreateTransformJob: MaxPayloadInMB is at most this, and 6 unless it says otherwise.
MOST_MB: Final = 100
USUAL_MB: Final = 6
_MIB: Final = 1024**2


@dataclass(frozen=True)
class StoredObject:
    """An object as S3 lists it; `name` is its key below the prefix that was listed."""

    name: str
    etag: str
    size: int
    modified: datetime

    @property
    def as_input(self) -> BatchInput:
        return BatchInput(name=self.name, etag=self.etag, modified=self.modified.isoformat())


@dataclass(frozen=True)
class WrittenPlan:
    """A plan, and when S3 took it: by the clock that also dates the outputs."""

    plan: BatchPlan
    written: datetime


@dataclass(frozen=True)
class BatchForm:
    """How objects of one format are sent.

    A CSV's header is in its first line only, so that a batch from its middle could be read in another order: it is sent
    whole. JSON lines name their columns in each record.
    """

    content_type: str
    by_line: bool


_FORMS: Final = {
    ".csv": BatchForm("text/csv", by_line=False),
    ".jsonl": BatchForm("application/jsonlines", by_line=True),
    ".ndjson": BatchForm("application/jsonlines", by_line=True),
}


@dataclass(frozen=True)
class Work:
    """What a prefix's inputs come to: those whose output is there, and the rest."""

    done: tuple[StoredObject, ...]
    left: tuple[StoredObject, ...]


def inputs_of(listed: Iterable[StoredObject]) -> tuple[StoredObject, ...]:
    """Return the inputs of a listing: neither outputs, nor folder markers, nor what begins with `_` or `.`."""
    return tuple(
        found
        for found in listed
        if not found.name.endswith((OUTPUT, "/")) and not any(part[:1] in ("_", ".") for part in found.name.split("/"))
    )


def form_of(inputs: Sequence[StoredObject], where: str) -> BatchForm:
    """Return the form that all inputs share.

    Raises InputError for no inputs, an unknown suffix, mixed formats, and a CSV that is too large.
    """
    if not inputs:
        raise InputError(f"{where} holds no input. Copy {', '.join(_FORMS)} files there: `aws s3 cp FILE {where}`.")
    found = {}
    for each in inputs:
        suffix = f".{each.name.rpartition('.')[2].lower()}"
        if suffix not in _FORMS:
            raise InputError(
                f"{where}{each.name}: cannot tell the format from its name; use {', '.join(_FORMS)}, or let the name "
                "begin with _ where it is no input."
            )
        found[_FORMS[suffix]] = each
    if len(found) > 1:
        names = " and ".join(sorted(each.name for each in found.values()))
        raise InputError(f"{where} mixes formats ({names}); a transform job takes one. Give each a folder of its own.")
    (form,) = found
    largest = max(inputs, key=lambda each: each.size)
    if not form.by_line and largest.size > MOST_MB * _MIB:
        raise InputError(
            f"{where}{largest.name} has {largest.size:,} bytes, and SageMaker sends at most {MOST_MB} MB at once. "
            "Split the file, or write JSON lines, which are sent in pieces."
        )
    return form


def payload_mb(form: BatchForm, inputs: Iterable[StoredObject]) -> int:
    """Return MaxPayloadInMB: what the largest input needs where inputs are sent whole."""
    if form.by_line:
        return USUAL_MB
    return max(USUAL_MB, *(-(-each.size // _MIB) for each in inputs))


def work_of(
    inputs: Sequence[StoredObject],
    outputs: Mapping[str, StoredObject],
    plans: Sequence[WrittenPlan],
    *,
    model: str,
    joined: bool,
) -> Work:
    """Return what is left: every input without an output of this very input by this very model.

    An output was written by the job whose plan is the last before it to name the input; outputs are whole or not there.
    """
    history: dict[str, list[tuple[WrittenPlan, BatchInput]]] = defaultdict(list)
    for found in sorted(plans, key=lambda each: each.written):
        for item in found.plan.inputs:
            history[item.name].append((found, item))
    done: list[StoredObject] = []
    left: list[StoredObject] = []
    for each in inputs:
        output = outputs.get(each.name + OUTPUT)
        before = [found for found in history[each.name] if output and found[0].written <= output.modified]
        last, planned = (before[-1][0].plan, before[-1][1]) if before else (None, None)
        scored = last is not None and (last.model, last.joined, planned) == (model, joined, each.as_input)
        (done if scored else left).append(each)
    return Work(tuple(done), tuple(left))
