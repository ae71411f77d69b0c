"""`passerelle cost compare` as people and machines read it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main

EXAMPLES = Path(__file__).parents[3] / "docs" / "on-premise"
ACCEPTED = "--accept-old-prices"


@pytest.mark.parametrize("name", ["gpu.yaml", "cpu.yaml"])
def test_people_read_an_answer_with_ranges_sources_and_bias(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cost", "compare", str(EXAMPLES / name), ACCEPTED])
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("Three scenarios of use", "never", "expected", " to ", "utilisation", "hardware price", "staff",
                  "electricity", "cloud price", "Eurostat", "Savings plan: unknown", "AWS's list price, a seller's own",
                  "Not counted"):  # fmt: skip
        assert words in shown, words


def test_machines_read_null_for_never(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json", "cost", "compare", str(EXAMPLES / "gpu.yaml"), ACCEPTED])
    document = json.loads(capsys.readouterr().out)
    low = document["scenarios"][0]
    assert low["rented"][0]["break_even_month"] == {"low": None, "expected": None, "high": None}
    assert set(document["break_even_utilisation"]) == {"on demand", "spot"}
    assert {"utilisation", "cloud price", "hardware price", "staff", "electricity"} <= {
        swing["driver"] for swing in document["sensitivity"]
    }


def test_the_page_and_the_chart_need_nothing_from_the_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("page.html", "deeper/chart.svg", "chart.png"):
        main(["cost", "compare", str(EXAMPLES / "cpu.yaml"), ACCEPTED, "--output", str(tmp_path / name)])
        assert f"Written: {tmp_path / name}" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    chart = (tmp_path / "deeper/chart.svg").read_text()
    for text in (page, chart):
        assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"<script|<link (?!rel=\"icon\" href=\"data:,)|src=|url\(", text)
    assert chart in page
    for words in ("Eurostat", "A seller", "Lenovo LP2225", "Hardware price", "never"):
        assert words in page, words
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["absent.yaml"], "examples of a workload file"),
        ([str(EXAMPLES / "gpu.yaml"), "--days", "1"], "--accept-old-prices"),
        ([str(EXAMPLES / "gpu.yaml"), ACCEPTED, "--output", "page.pdf"], ".html, .svg, .png"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_remedy(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["cost", "compare", *options])
    assert stop.value.code == 3
    assert words in capsys.readouterr().err


def test_a_name_cannot_write_into_the_page_or_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (EXAMPLES / "gpu.yaml").read_text()
    wild = tmp_path / "wild.yaml"
    wild.write_text(text.replace("name: fine-tuning of language models", "name: '<script>[red]x[/]'"))
    main(["cost", "compare", str(wild), ACCEPTED, "--output", str(tmp_path / "page.html")])
    assert "<script>[red]x[/]" in capsys.readouterr().out
    assert "<script" not in (tmp_path / "page.html").read_text()


def test_a_comparison_loads_neither_boto3_nor_matplotlib() -> None:
    code = (
        "import sys\nfrom cli.main import main\n"
        f"main(['--json', 'cost', 'compare', {str(EXAMPLES / 'gpu.yaml')!r}, '{ACCEPTED}'])\n"
        "print([name for name in ('boto3', 'matplotlib', 'pandas', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
