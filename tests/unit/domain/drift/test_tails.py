"""Tail probabilities say what SciPy says."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from passerelle.domain.drift.tails import (
    all_drawn,
    binomial_tail,
    chi_square_tail,
    combined,
    normal_tail,
    same_share,
    skewed_tail,
    skewed_two_sided,
    two_pairs_tail,
    two_sided,
)


@given(st.floats(0, 2_000), st.floats(0.5, 500))
def test_the_chi_square_tail_is_scipys(value: float, freedom: float) -> None:
    assert chi_square_tail(value, freedom) == pytest.approx(float(stats.chi2.sf(value, freedom)), rel=1e-9, abs=1e-13)


@given(st.floats(-8, 38), st.floats(1, 9_000), st.booleans())
def test_a_skewed_variable_has_the_tails_of_a_sum_of_squares(z: float, freedom: float, downwards: bool) -> None:
    value = freedom + z * math.sqrt(2 * freedom)
    tails = [float(each(value, freedom)) for each in (stats.chi2.sf, stats.chi2.cdf)]
    sign = -1 if downwards else 1
    found = skewed_two_sided(sign * z, sign * math.sqrt(8 / freedom))
    assert found == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-6, abs=1e-12)


@given(st.floats(-8, 38))
def test_the_normal_tail_is_scipys(z: float) -> None:
    assert normal_tail(z) == pytest.approx(float(stats.norm.sf(z)), rel=1e-12)
    assert two_sided(z) == pytest.approx(2 * float(stats.norm.sf(abs(z))), rel=1e-12)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 400), st.integers(1, 400))
def test_one_share_of_two_windows_is_fishers_exact_test_by_its_smaller_tail(
    hits: int, rows: int, reference_hits: int, reference_rows: int
) -> None:
    hits, reference_hits = min(hits, rows), min(reference_hits, reference_rows)
    table = [[hits, rows - hits], [reference_hits, reference_rows - reference_hits]]
    tails = [float(stats.fisher_exact(table, side).pvalue) for side in ("less", "greater")]
    found = same_share(hits, rows, reference_hits, reference_rows)
    assert found == pytest.approx(min(1.0, 2 * min(tails)), rel=1e-6, abs=1e-13)


@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 400), st.integers(1, 400))
def test_at_mid_p_what_was_seen_counts_by_half(hits: int, rows: int, reference_hits: int, reference_rows: int) -> None:
    hits, reference_hits = min(hits, rows), min(reference_hits, reference_rows)
    total, all_hits = rows + reference_rows, hits + reference_hits
    law = stats.hypergeom(total, all_hits, rows)
    seen = float(law.pmf(hits))
    tails = float(law.cdf(hits)) - seen / 2, float(law.sf(hits - 1)) - seen / 2
    found = same_share(hits, rows, reference_hits, reference_rows, mid=True)
    certain = all_hits in (0, total)
    assert found == pytest.approx(1.0 if certain else min(1.0, 2 * min(tails)), rel=1e-6, abs=1e-12)


@given(st.floats(-6, 6), st.floats(-2, 2))
def test_a_skewed_tail_is_pearsons_third_law_and_a_hardly_skewed_one_the_normal_law(z: float, skew: float) -> None:
    expected = stats.norm.sf(z) if abs(skew) < 0.02 else stats.pearson3.sf(z, skew)
    assert skewed_tail(z, skew) == pytest.approx(float(expected), rel=1e-6, abs=1e-12)


def test_large_windows_have_the_normal_law_of_the_same_test() -> None:
    table = [[5_300, 94_700], [50_000, 950_000]]
    exact = 2 * float(stats.fisher_exact(table, "greater").pvalue)
    assert same_share(5_300, 100_000, 50_000, 1_000_000) == pytest.approx(exact, rel=0.05)


@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.0001, 0.9))
def test_the_binomial_tail_is_scipys(hits: int, rows: int, share: float) -> None:
    assert binomial_tail(hits, rows, share) == pytest.approx(float(stats.binom.sf(hits - 1, rows, share)), abs=1e-9)


def test_a_share_of_nothing_makes_every_hit_impossible_and_none_certain() -> None:
    assert binomial_tail(0, 10, 0.0) == 1.0
    assert binomial_tail(1, 10, 0.0) == 0.0


@given(st.floats(0, 200), st.floats(0.05, 0.9))
def test_two_pairs_of_weighted_squares_have_the_law_that_their_convolution_gives(value: float, less: float) -> None:
    grid = [value * step / 2_000 for step in range(2_001)]
    density = [math.exp(-x / 2) / 2 * math.exp(-(value - x) / 2 / less) for x in grid]
    convolved = sum((a + b) / 2 for a, b in itertools.pairwise(density)) * value / 2_000
    assert two_pairs_tail(value, less) == pytest.approx(math.exp(-value / 2) + convolved, rel=0.05, abs=1e-4)


def test_all_marked_ones_are_drawn_as_often_as_counting_says() -> None:
    assert all_drawn(2, 3, 5) == pytest.approx(3 / 10)
    assert all_drawn(4, 3, 5) == 0.0
    assert all_drawn(0, 3, 5) == pytest.approx(1.0)


def test_a_combination_follows_its_strongest_part_and_is_not_outweighed_by_a_test_that_says_one() -> None:
    assert combined([(1e-12, 0.5), (1.0, 0.5)]) == pytest.approx(2e-12, rel=1e-3)
    assert combined([(0.0, 0.1), (0.5, 0.9)]) < 1e-200
    assert combined([(0.03, 1.0)]) == pytest.approx(0.03)
