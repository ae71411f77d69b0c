"""A workload file compared: what is refused, where figures come from, and that no result comes without its range."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from passerelle.domain.cost.ownership.comparison import Comparison, Range, compare
from passerelle.domain.cost.ownership.document import published, to_document
from passerelle.domain.cost.ownership.machines import capacity
from passerelle.domain.cost.ownership.sensitivity import ALWAYS
from passerelle.domain.cost.ownership.sources import default_figures
from passerelle.domain.cost.ownership.workload import (
    Cloud,
    Need,
    Owned,
    Profile,
    Requests,
    Server,
    Use,
    Workload,
    load_workload,
)
from passerelle.errors import InputError

EXAMPLES = Path(__file__).parents[4] / "docs" / "on-premise"
TODAY = date(2026, 11, 23)
GPU: dict[str, Any] = {
    "name": "tuning",
    "years": 4,
    "need": {"gpus": 8},
    "use": {"utilisation": {"low": 0.3, "expected": 0.5, "high": 0.8}},
    "cloud": {"region": "us-east-1", "instance_type": "p5.48xlarge"},
    "owned": {"server": {"gpus": 8}, "colocation_per_kw_month": {"low": 150, "high": 300}},
}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one field set, or removed by `...`."""
    first, _, rest = path.partition(".")
    if rest:
        return {**base, first: changed(base.get(first, {}), rest, value)}
    return {key: item for key, item in {**base, first: value}.items() if item is not ...}


def compared(document: dict[str, Any], *, accept_old: bool = False, days: int = 180) -> Comparison:
    workload = load_workload(yaml.safe_dump(document, sort_keys=False), source="w.yaml")
    return compare(workload, today=TODAY, oldest_days=days, accept_old=accept_old)


@pytest.mark.parametrize("name", ["gpu", "cpu"])
def test_the_examples_have_every_result_in_a_range(name: str) -> None:
    path = EXAMPLES / f"{name}.yaml"
    found = compare(load_workload(path.read_text(), source=str(path)), today=TODAY, oldest_days=180, accept_old=True)
    assert [scenario.use for scenario in found.scenarios] == ["low", "expected", "high"]
    for scenario in found.scenarios:
        assert {beside.way for beside in scenario.beside} == {"on demand", "spot"}
        for result in (scenario.owned, *(beside.total for beside in scenario.beside)):
            assert rises(result)
            assert result.low != result.high
        for beside in scenario.beside:
            assert rises(beside.month)
            assert rises(beside.hours)
    assert rises(found.difference)
    assert all(rises(line) for line in found.lines.values())
    assert all(rises(each) for each in found.utilisation.values())
    sums = [sum(getattr(line, end) for line in found.lines.values()) for end in ("low", "expected", "high")]
    assert sums == pytest.approx([found.expected.owned.low, found.expected.owned.expected, found.expected.owned.high])
    assert set(ALWAYS) <= {swing.driver for swing in found.swings}


def rises(found: Range) -> bool:
    low, expected, high = (float("inf") if end is None else end for end in (found.low, found.expected, found.high))
    return low <= expected <= high


def test_the_same_work_in_euro_is_the_same_answer() -> None:
    prices = {"owned.colocation_per_kw_month": {"low": 113.55, "expected": 227.1, "high": 340.65},
              "owned.server.price": {"low": 227_100, "expected": 283_875, "high": 340_650}}  # fmt: skip
    dollars, euros = GPU, changed(GPU, "currency", "EUR")
    for path, value in prices.items():
        dollars = changed(dollars, path, value)
        euros = changed(euros, path, {end: number / 1.1355 for end, number in value.items()})
    here, there = compared(dollars), compared(euros)
    for one, other in zip(here.scenarios, there.scenarios, strict=True):
        assert one.owned.expected == pytest.approx((other.owned.expected or 0) * 1.1355)
        assert one.beside[0].total.high == pytest.approx((other.beside[0].total.high or 0) * 1.1355)
        for end in ("low", "expected", "high"):
            assert getattr(one.beside[0].month, end) == pytest.approx(getattr(other.beside[0].month, end))


def test_hours_requests_and_a_profile_say_the_same_as_utilisation() -> None:
    ways: list[dict[str, Any]] = [
        {"utilisation": {"low": 0.25, "expected": 0.5, "high": 0.75}},
        {"hours_a_month": {"low": 182.5, "expected": 365, "high": 547.5}},
        {"requests": {"a_second": 10, "a_month": {"low": 6.57e6, "expected": 13.14e6, "high": 19.71e6}}},
        {"profile": {"weekday": [0.5] * 24, "weekend": [0, 1] * 12, "spread": {"low": 0.5, "high": 1.5}}},
    ]
    totals = [[scenario.owned.expected for scenario in compared(changed(GPU, "use", way)).scenarios] for way in ways]
    for total in totals[1:]:
        assert total == pytest.approx(totals[0])


def test_machines_carry_the_whole_need() -> None:
    more = compared(changed(GPU, "need.gpus", 20))
    assert (more.basis.servers, more.basis.instances) == (3, 3)


@pytest.mark.parametrize(
    ("instance", "vcpus"),
    [("m5.large", 2), ("m7i.xlarge", 4), ("c6i.8xlarge", 32), ("ml.m5.4xlarge", 16), ("ml.p5.48xlarge", 192),
     ("t3.medium", None), ("m5.2large", None), ("p4d.24xlarge", None)],
)  # fmt: skip
def test_what_an_instance_has_is_noted_or_follows_from_its_size_or_is_unknown(instance: str, vcpus: int | None) -> None:
    assert capacity(instance, "cpu") == vcpus


def test_ways_to_rent_without_a_known_price_say_why_and_have_no_number() -> None:
    found = compared(GPU)
    assert "513 days ago" in found.basis.unknown["spot"]
    assert "savings_plan" in found.basis.unknown["savings plan"]
    assert [beside.way for beside in found.expected.beside] == ["on demand"]
    always = compared(changed(GPU, "cloud.always_on", True), accept_old=True)
    assert "may be interrupted" in always.basis.unknown["spot"]
    assert always.utilisation == {}
    quoted = changed(changed(GPU, "owned.server.price", 90_000), "owned.server.kw", 3)
    hosting = changed(changed(quoted, "cloud.instance_type", "ml.g5.xlarge"), "cloud.component", "Hosting")
    assert "training only" in compared(hosting, accept_old=True).basis.unknown["spot"]
    nobody = changed(quoted, "cloud", {"region": "us-east-1", "instance_type": "p4d.24xlarge", "gpus": 8})
    assert "spot_saving" in compared(nobody, accept_old=True).basis.unknown["spot"]


def test_a_savings_plan_and_a_saving_of_spot_are_inputs() -> None:
    plan = {"low": 30, "expected": 32, "high": 35, "source": "our account manager", "as_of": date(2026, 11, 1)}
    given = changed(changed(GPU, "cloud.savings_plan", plan), "cloud.spot_saving", {"low": 0.3, "high": 0.5})
    found = compared(given)
    assert found.basis.unknown == {}
    assert {beside.way for beside in found.expected.beside} == {"on demand", "spot", "savings plan"}
    assert "savings plan" not in found.utilisation
    figure = found.basis.figures["plan_price"]
    assert (figure.source, figure.as_of) == ("our account manager", "2026-11-01")
    low, high = (found.scenarios[place].beside[2].total for place in (0, 2))
    assert low.expected == high.expected == pytest.approx(32 * 8760 * 4)


def test_a_price_that_is_too_old_or_has_no_date_is_refused_unless_accepted() -> None:
    with pytest.raises(InputError, match=r"read 2026-10-13, 41 days ago, and 30 are allowed.*--accept-old-prices"):
        compared(GPU, days=30)
    assert compared(GPU, days=30, accept_old=True)
    undated = changed(changed(GPU, "cloud.region", "us-west-2"), "cloud.instance_type", "ml.p5.48xlarge")
    with pytest.raises(InputError, match=r"2026 \(undated\)|days ago"):
        compared(undated, days=30)


def test_power_in_the_rent_of_the_rack_is_not_counted_twice() -> None:
    found = compared(changed(GPU, "owned.colocation_includes_power", True))
    assert found.lines["power"] == Range(0, 0, 0)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("owned.colocation_per_kw_month", ..., "owned.colocation_per_kw_month: is missing"),
        ("owned.colocation_per_kw_month", 200, "owned.colocation_per_kw_month: needs a range"),
        ("owned.colocation_per_kw_month", {"low": 0, "high": 2}, "must be above 0"),
        ("owned.colocation_per_kw_month", {"low": 3, "expected": 2, "high": 4}, "must rise"),
        ("owned.colocation_per_kw_month", "much", "is no figure"),
        ("owned.colocation_per_kw_month", {"low": 1}, "is missing"),
        ("owned.colocation_per_kw_month", {"low": 1, "high": float("inf")}, "finite"),
        ("owned.server", {}, "owned.server.gpus: is missing"),
        ("owned.server.price", 0, "must be above 0"),
        ("owned.server.price", -5, "must be above 0"),
        ("owned.pue", 0.9, "1 or more"),
        ("owned.fte", -1, "must not be below 0"),
        ("owned.residual_share", 20, "is a share"),
        ("owned.elictricity_per_kwh", 0.2, "did you mean 'electricity_per_kwh'"),
        ("years", 0, "greater than or equal to 1"),
        ("years", 2.5, "years"),
        ("need", {}, "one of gpus and vcpus"),
        ("need", {"gpus": 8, "vcpus": 8}, "one of gpus and vcpus"),
        ("need.gpus", 0, "greater than or equal to 1"),
        ("use", {}, "needs one of utilisation"),
        ("use.utilisation", 0.4, "needs a range"),
        ("use.utilisation", {"low": 0.2, "high": 40}, "Write 0.4 for 40 %"),
        ("use.utilisation", {"low": 0, "high": 0.4}, "must be above 0"),
        ("use", {"hours_a_month": {"low": 700, "high": 800}}, "raise `need`"),
        ("use", {"hours_a_month": {"low": -700, "high": 800}}, "must be above 0"),
        ("use", {"profile": {"weekday": [0.5], "weekend": [0] * 24}}, "use.profile.weekday"),
        ("use.growth_a_year", -1, "is growth a year"),
        ("currency", "GBP", "only USD and EUR are converted (got 'GBP'); convert your figures"),
        ("cloud.region", "us-east-9", "did you mean 'us-east-1'"),
        ("cloud.instance_type", "p5.48xlrge", "did you mean 'p5.48xlarge'"),
        ("cloud.instance_type", "p4d.24xlarge", "cloud.gpus: is missing"),
        ("cloud.gpus", 4, "has 8, not 4"),
        ("cloud.always_on", "perhaps", "cloud.always_on"),
        ("cloud.savings_plan", 0, "must be above 0"),
        ("name", "", "name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_line_field_and_remedy(path: str, value: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        compared(changed(GPU, path, value))
    told = str(caught.value)
    assert words in told
    assert told.startswith("w.yaml:")


def test_an_instance_that_the_region_does_not_offer_is_refused_with_its_source() -> None:
    for region, instance in (("eu-west-3", "p5.48xlarge"), ("eu-west-3", "ml.g5.xlarge")):
        wanted = changed(changed(GPU, "cloud.region", region), "cloud.instance_type", instance)
        with pytest.raises(InputError, match=r"cloud.instance_type: .* is not offered in eu-west-3 \("):
            compared(wanted)


def test_a_server_of_another_gpu_than_the_figures_have_needs_a_quote() -> None:
    with pytest.raises(InputError) as caught:
        compared(changed(GPU, "cloud.instance_type", "ml.g5.xlarge"))
    told = str(caught.value)
    assert "owned.server.price: is missing: figures.csv knows servers of H100 only; ml.g5.xlarge has A10G" in told
    assert "owned.server.kw: is missing" in told


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_whatever_the_figures_every_result_rises_from_its_low_to_its_high_end(data: st.DataObject) -> None:
    def some(low: float, high: float) -> dict[str, float]:
        ends = sorted(data.draw(st.lists(st.floats(low, high), min_size=3, max_size=3, unique=True)))
        return dict(zip(("low", "expected", "high"), ends, strict=True))

    owned = {"server": {"gpus": 8, "price": some(1e3, 1e6)}, "colocation_per_kw_month": some(1, 500),
             "residual_share": some(0, 1), "fte": some(0, 1), "pue": some(1, 2), "idle_power_share": some(0, 1),
             "interest_rate": some(0, 0.2)}  # fmt: skip
    use = {"utilisation": some(0.01, 1), "growth_a_year": some(-0.3, 0.6)}
    cloud = {**GPU["cloud"], "savings_plan": some(1, 60), "price_change": some(0.3, 2), "spot_saving": some(0, 0.9)}
    found = compared({**GPU, "use": use, "cloud": cloud, "owned": owned})
    for scenario in found.scenarios:
        for beside in scenario.beside:
            assert all(map(rises, (scenario.owned, beside.total, beside.month, beside.hours)))
            dear, cheap = scenario.owned.low or 0, scenario.owned.high or 0
            assert (beside.cheaper == "owning") == (cheap < (beside.total.low or 0))
            assert (beside.cheaper == "renting") == (dear > (beside.total.high or 0))
    assert all(map(rises, [*found.lines.values(), *found.utilisation.values()]))


def test_the_page_of_the_docs_names_every_field_of_a_workload() -> None:
    text = (EXAMPLES.parent / "on-premise.md").read_text()
    models = (Workload, Need, Use, Requests, Profile, Cloud, Server, Owned)
    fields = {name for model in models for name in model.model_fields}
    assert [name for name in sorted(fields) if f"`{name}" not in text and f".{name}`" not in text] == []


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "name: x\nname: y", "just words"])
def test_what_is_no_workload_is_said_with_its_line(text: str) -> None:
    with pytest.raises(InputError, match=r"w\.yaml:\d"):
        load_workload(text, source="w.yaml")


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    wrong = changed(changed(changed(GPU, "years", 0), "owned.pue", 0.5), "currency", "GBP")
    with pytest.raises(InputError) as caught:
        compared(wrong)
    lines = [int(line.split(":")[1]) for line in str(caught.value).splitlines()]
    assert len(lines) == 3
    assert lines == sorted(lines)


def test_every_figure_has_a_date_a_source_and_its_interest_and_rises() -> None:
    for figure in default_figures():
        assert figure.low <= figure.expected <= figure.high, figure.name
        assert figure.source, figure.name
        assert figure.bias.endswith("."), figure.name
        assert figure.as_of == "undated" or figure.as_of[:2] == "20", figure.name
    assert all(line["bias"] and line["as_of"] for line in published())
    document = to_document(compared(GPU, accept_old=True))
    assert all(figure["source"] and figure["as_of"] and figure["bias"] for figure in document["figures"])


def test_what_the_file_gives_replaces_the_table() -> None:
    quote = {"low": 300_000, "expected": 300_000, "high": 300_000, "source": "quote 17", "as_of": date(2026, 11, 2)}
    found = compared(changed(GPU, "owned.server.price", quote))
    figure = found.basis.figures["server_price"]
    assert (figure.expected, figure.source, figure.as_of) == (300_000, "quote 17", "2026-11-02")
    assert found.basis.figures["server_kw"].expected == pytest.approx(8.9)
