"""Entry `judge`: what a challenger answered in the shadow against the champion, with the verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from passerelle.contracts.archive import unpack
from passerelle.contracts.container import JUDGE_INPUTS, JUDGE_OUTPUTS, QUESTION_FILE, RESULT_FILE
from passerelle.contracts.experiment import Agreement, ShadowEvidence, ShadowQuestion
from passerelle.contracts.variants import VARIANT
from passerelle.domain.experiment.agreement import compare_answers
from passerelle.domain.experiment.load import compare_errors, compare_quantiles
from passerelle.domain.experiment.pairs import Pairing, Pairs
from passerelle.domain.experiment.shadow import Limits, Shown, judge_shadow
from passerelle.domain.predictions import BrokenExchangeError, Exchange, read_captured
from passerelle.domain.project import Project
from passerelle.domain.project.serving import RolloutAlarms
from passerelle.domain.resampling import draw_weights, make_blocks
from training.bundle import load_bundle
from training.judge.replay import replay
from training.paths import base_dir, processing
from training.progress import tell
from training.project_archive import read_project


def main() -> int:
    """Run the entry in SageMaker's layout."""
    output = processing(JUDGE_OUTPUTS["result"])
    output.mkdir(parents=True, exist_ok=True)
    project = read_project(processing(JUDGE_INPUTS["project"]))
    text = (processing(JUDGE_INPUTS["question"]) / QUESTION_FILE).read_text(encoding="utf-8")
    evidence = judge(project, ShadowQuestion.model_validate_json(text))
    (output / RESULT_FILE).write_text(evidence.model_dump_json(indent=2), encoding="utf-8")
    tell("shadow_judged", verdict=evidence.verdict, reasons=list(evidence.reasons))
    return 0


def judge(project: Project, question: ShadowQuestion) -> ShadowEvidence:
    """Return the verdict with its evidence."""
    if question.replayed_since is not None:
        return _judge_replay(project, question, question.replayed_since)
    pairing, broken = Pairing(project), _Broken()
    pairing.add_champion(broken.exchanges(processing(JUDGE_INPUTS["champion"])), question.champion.threshold)
    pairing.add_challenger(broken.exchanges(processing(JUDGE_INPUTS["challenger"])), question.challenger.threshold)
    pairs = pairing.pairs()
    shown = Shown(
        hours=question.hours,
        errors=compare_errors(
            (question.champion.requests, question.champion.errors),
            (question.challenger.requests, question.challenger.errors),
        ),
        latency=compare_quantiles(question.champion.latency, question.challenger.latency),
        agreement=_agreement(project, pairs),
    )
    counts = {"unpaired": pairs.unpaired, "unreadable": pairs.unreadable + broken.lines}
    return judge_shadow(shown, _limits(question)).model_copy(update=counts)


def _judge_replay(project: Project, question: ShadowQuestion, since: datetime) -> ShadowEvidence:
    """Judge what the challenger says to what was asked the champion; how fast it is shows when it serves."""
    with tempfile.TemporaryDirectory(dir=base_dir()) as work:
        (archive,) = processing(JUDGE_INPUTS["model"]).rglob("*.tar.gz")
        bundle = load_bundle(unpack(archive, Path(work) / "model"), project_code=bool(project.training.model))
        found = replay(processing(JUDGE_INPUTS["recorded"]), bundle, variant=VARIANT, since=since)
    shown = Shown(
        hours=question.hours,
        errors=compare_errors((found.asked, 0), (found.asked, found.refused)),
        agreement=_agreement(project, found.pairs),
    )
    return judge_shadow(shown, _limits(question))


def _limits(question: ShadowQuestion) -> Limits:
    return Limits(
        hours=question.declared_hours,
        requests=question.declared_requests,
        alarms=RolloutAlarms(error_percent=question.error_percent, p99_latency_ms=question.p99_latency_ms),
        hurried=question.hurried,
    )


def _agreement(project: Project, pairs: Pairs) -> Agreement | None:
    if not pairs.rows:
        return None
    apart = len(np.unique(pairs.entities)) == pairs.rows
    blocks = make_blocks(pairs.rows, by="row" if apart else "entity", entities=pairs.entities)
    weights = draw_weights(blocks, seed=project.training.seed)
    return compare_answers(pairs.champion, pairs.challenger, blocks, weights)


class _Broken:
    """Counts lines that are no captured requests: one that is half written must not cost the others."""

    lines = 0

    def exchanges(self, folder: Path) -> Iterator[Exchange]:
        """Yield what was captured, in the order in which it was written."""
        for path in sorted(folder.rglob("*.jsonl")):
            with path.open("rb") as lines:
                for line in lines:
                    if not line.strip():
                        continue
                    try:
                        yield read_captured(line)
                    except BrokenExchangeError:
                        self.lines += 1
