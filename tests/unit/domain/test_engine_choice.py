"""The engine is chosen by size, and the reason names the figures."""

from __future__ import annotations

import pytest

from passerelle.domain.dataset.engine import CELL_BYTES, DUCKDB_MOST_BYTES, Engine, choose_engine
from passerelle.errors import InputError
from tests.unit.training.prepared import make_project


def choose(declared: str = "auto", *, new: int = 0, rows: int = 0, spark: bool = True) -> Engine:
    return choose_engine(declared, new_bytes=new, earlier_rows=rows, columns=10, spark_at_hand=spark)  # type: ignore[arg-type]


def test_what_one_machine_holds_is_prepared_by_duckdb() -> None:
    found = choose(new=1_200_000_000)
    assert found == Engine(
        "duckdb",
        "1.2 GB of data (1.2 GB new, 0 earlier rows) are within the 20.0 GB that one machine prepares",
    )


def test_more_than_that_is_prepared_by_spark_where_there_is_one() -> None:
    found = choose(new=DUCKDB_MOST_BYTES + 1)
    assert (found.name, "more than the 20.0 GB" in found.why) == ("spark", True)
    alone = choose(new=DUCKDB_MOST_BYTES + 1, spark=False)
    assert (alone.name, alone.why.endswith("and this job has no Spark")) == ("duckdb", True)


def test_rows_of_earlier_drops_count_as_what_they_were_in_their_files() -> None:
    rows = DUCKDB_MOST_BYTES // (10 * CELL_BYTES)
    assert choose(rows=rows).name == "duckdb"
    assert choose(rows=rows, new=100).name == "spark"


@pytest.mark.parametrize("declared", ["duckdb", "spark"])
def test_a_project_may_declare_its_engine_whatever_the_size(declared: str) -> None:
    for size in (5, DUCKDB_MOST_BYTES * 2):
        found = choose(declared, new=size)
        assert (found.name, f"data.engine: {declared}" in found.why) == (declared, True)


def test_a_project_that_asks_for_spark_where_there_is_none_is_told_so() -> None:
    with pytest.raises(InputError, match="install pyspark and Java"):
        choose("spark", spark=False)


def test_the_engine_is_no_part_of_the_contract() -> None:
    hashes = {make_project(engine=name).contract_hash() for name in ("auto", "duckdb", "spark")}
    assert hashes == {make_project().contract_hash()}
