"""A shadow judged anew with labels: what both models answered to the same requests, and which of them was right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from passerelle.contracts.experiment import ShadowEvidence
from passerelle.contracts.runs import RunRecord
from passerelle.domain.experiment.load import compare_errors
from passerelle.domain.experiment.shadow import Limits, Shown, judge_shadow
from passerelle.domain.project import Project, load_project
from passerelle.errors import InputError, NotFoundError
from passerelle.steps.read_shadow import keep_evidence, newest_shadow, read_shadow

from .test_read_experiment import BEGIN, TEXT, Shop
from .world import Aws

HOURS = 24.0
JUDGED = BEGIN + timedelta(hours=HOURS + 1)


def project(**changes: str) -> Project:
    text = TEXT.replace("experiment: {percent: 30, effect: 1, entity: customer}", "shadow: {hours: 24, requests: 100}")
    for before, after in changes.items():
        text = text.replace(before, after)
    return load_project(text, source="project.yaml")


class Watched(Shop):
    """A challenger that ranks better than the champion, in whose shadow it was; a `keep` for want of agreement."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        super().__init__(aws, folder)
        errors = compare_errors((400, 0), (400, 0))
        self.evidence = judge_shadow(Shown(hours=HOURS, errors=errors), Limits(hours=24, requests=100))
        uri = f"s3://{self.reader.reports}/shop/runs/r2/shadow.json"
        self.reader.objects.write(
            self.reader.reports, "shop/runs/r2/shadow.json", self.evidence.model_dump_json().encode()
        )
        told = {"verdict": "keep", "reasons": [], "evidence": uri, "judged_at": JUDGED.isoformat()}
        self.record = RunRecord(
            project="shop", run_id="r2", attempt=1, status="refused", created_at="t", updated_at="t", shadow=told,
            model_version="2",
        )  # fmt: skip

    def watch(self, requests: int = 400, *, better: float = 1.5) -> None:
        """Record what both said, the challenger's copy of each request under an id of its own, and the labels."""
        draw = np.random.default_rng(7)
        paid = draw.random(requests) < 0.5
        rows = list[dict[str, Any]]()
        for number in range(requests):
            for variant, power, name in (("champion", 1.0, "i"), ("challenger", 1.0 + better, "s")):
                score = 1 / (1 + np.exp(-(power * (1 if paid[number] else -1) + draw.normal(0, 1.5))))
                rows.append(
                    {
                        "inference_id": f"{name}{number}", "request_row": 0, "event_time": BEGIN + timedelta(minutes=1),
                        "model": "shop-prod", "version": None, "variant": variant, "entity_id": f"{number}|x",
                        "input_customer": f"customer {number}", "input_basket": float(number), "score": float(score),
                        "decision": str(bool(score >= 0.5)).lower(), "latency_ms": None,
                    }
                )  # fmt: skip
        self.deliver(rows)
        self.deliver(rows)
        with self.labels.open("a") as file:
            file.writelines(f"i{number},{'yes' if paid[number] else 'no'}\n" for number in range(requests))

    def read(self, about: Project | None = None) -> ShadowEvidence:
        return read_shadow(self.reader, about or project(), self.record, [self.labels])


@pytest.fixture
def shop(aws: Aws, tmp_path: Path) -> Watched:
    return Watched(aws, tmp_path)


def test_a_challenger_that_ranks_better_and_earns_more_is_promoted_by_its_labels(shop: Watched) -> None:
    shop.watch()
    assert shop.evidence.verdict == "keep"
    found = shop.read()
    metric, money = found.tests
    assert (metric.of, metric.method, metric.rows) == ("roc_auc", "delong", 400)
    assert metric.better.lower is not None
    assert metric.better.lower > 0
    assert (money.of, money.method) == ("EUR per decision", "bootstrap")
    assert money.challenger > money.champion
    assert found.verdict == "promote"
    assert found.errors == shop.evidence.errors
    uri = keep_evidence(shop.reader, shop.record, found)
    assert uri == f"s3://{shop.reader.reports}/shop/runs/r2/shadow-labelled.json"


def test_one_that_ranks_worse_is_rejected_whatever_agrees(shop: Watched) -> None:
    shop.watch(better=-0.9)
    found = shop.read()
    assert found.verdict == "reject"
    assert {check.name: check.outcome for check in found.checks}["metric"] == "fails"


@pytest.mark.parametrize(
    ("metric", "method"), [("accuracy", "mcnemar"), ("log_loss", "bootstrap"), ("balanced_accuracy", "bootstrap")]
)
def test_each_metric_has_its_test(shop: Watched, metric: str, method: str) -> None:
    shop.watch()
    test = shop.read(project(**{"metric: roc_auc": f"metric: {metric}"})).tests[0]
    assert (test.of, test.method) == (metric, method)


def test_labels_of_other_requests_are_refused_with_the_time_that_was_looked_at(shop: Watched) -> None:
    shop.watch(20)
    shop.labels.write_text("inference_id,paid\nnobody,yes\n")
    with pytest.raises(
        InputError, match=r"None of 1 labels is of one of the 20 recorded requests .* between 2026-11-01"
    ):
        shop.read()


def test_a_run_that_was_in_no_shadow_is_told_how_it_comes_there(shop: Watched) -> None:
    shop.record = shop.record.model_copy(update={"shadow": {}})
    with pytest.raises(NotFoundError, match=r"in no shadow.*passerelle promote shop --run r2"):
        shop.read()
    with pytest.raises(NotFoundError, match="No run of shop"):
        newest_shadow([shop.record], "shop")


def test_a_replayed_challenger_has_no_recorded_answers(shop: Watched) -> None:
    serverless = project(**{"profile: real-time, instance_count: 2, capture_percent: 100": "profile: serverless"})
    with pytest.raises(InputError, match="of a replay, the job's evidence is all"):
        shop.read(serverless)
