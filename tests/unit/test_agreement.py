"""Agreement statistics against worked examples and definitions."""

import numpy as np
import pytest

from synthgait.errors import InputError
from synthgait.validate.agreement import STATISTICS, agree


def test_known_answers_of_every_statistic():
    truth, estimate = [1.0, 2.0, 3.0, 4.0], [1.1, 2.1, 2.9, 4.5]
    result = agree(truth, estimate, ["a", "b", "c", "d"])
    difference = np.array([0.1, 0.1, -0.1, 0.5])
    assert result.n_recordings == result.n_people == 4
    assert result.mae == pytest.approx(0.2)
    assert result.mape == pytest.approx(100 * np.mean([0.1 / 1, 0.1 / 2, 0.1 / 3, 0.5 / 4]))
    assert result.bias == pytest.approx(0.15)
    assert result.loa_low == pytest.approx(0.15 - 1.96 * difference.std(ddof=1))
    assert result.loa_high == pytest.approx(0.15 + 1.96 * difference.std(ddof=1))
    assert result.r == pytest.approx(np.corrcoef(truth, estimate)[0, 1])


def test_icc_of_shrout_and_fleiss_first_two_judges():
    # ICC(2,1) of judges 1 and 2 of their table 2, from the two-way mean squares worked out by hand:
    # rows 5.0833.., columns 40.333.., error 0.7333..
    judge_1, judge_2 = [9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2]
    table = np.array([judge_1, judge_2], float).T
    grand = table.mean()
    rows = 2 * np.sum((table.mean(1) - grand) ** 2) / 5
    columns = 6 * np.sum((table.mean(0) - grand) ** 2)
    error = (np.sum((table - grand) ** 2) - 5 * rows - columns) / 5
    expected = (rows - error) / (rows + error + 2 * (columns - error) / 6)
    assert agree(judge_1, judge_2, list("abcdef")).icc == pytest.approx(expected)


def test_perfect_agreement():
    result = agree([1.0, 1.5, 2.0], [1.0, 1.5, 2.0], ["a", "b", "c"])
    assert (result.mae, result.bias, result.mape) == (0.0, 0.0, 0.0)
    assert result.icc == pytest.approx(1.0) and result.r == pytest.approx(1.0)


def test_the_bias_costs_icc_but_not_correlation():
    truth = np.linspace(0.5, 1.5, 20)
    result = agree(truth, truth + 0.3, [str(i) for i in range(20)])
    assert result.r == pytest.approx(1.0) and result.bias == pytest.approx(0.3)
    assert result.icc is not None and result.icc < 0.9


def test_intervals_resample_people_not_recordings():
    rng = np.random.default_rng(3)
    people = np.repeat(np.arange(6), 50)
    truth = 1.0 + 0.2 * rng.standard_normal(300)
    estimate = truth + 0.1 * rng.standard_normal(6)[people]
    clustered = agree(truth, estimate, people.astype(str))
    as_if_independent = agree(truth, estimate, [str(i) for i in range(300)])

    def width(result):
        low, high = result.intervals["bias"]
        return high - low

    assert width(clustered) > 4 * width(as_if_independent)
    assert clustered.intervals["bias"][0] < clustered.bias < clustered.intervals["bias"][1]


def test_intervals_cover_the_true_bias_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 3)
    hits = 0
    for _ in range(60):
        truth = 1.0 + rng.random(60)
        estimate = truth + 0.1 + 0.2 * rng.standard_normal(20)[people]
        low, high = agree(truth, estimate, people.astype(str)).intervals["bias"]
        hits += low < 0.1 < high
    assert 50 <= hits <= 60


def test_one_person_has_no_interval_and_one_recording_no_spread():
    assert agree([1.0, 1.2], [1.1, 1.0], ["a", "a"]).intervals == {}
    row = agree([1.0], [1.1], ["a"]).as_row()
    assert row["mae"] == pytest.approx(0.1) and row["loa_low"] is None and row["r"] is None and row["icc"] is None
    assert {f"{s}_ci_low" for s in STATISTICS} <= set(row)


def test_same_input_same_intervals():
    data = ([1.0, 1.2, 0.9], [1.1, 1.0, 1.0], ["a", "b", "c"])
    assert agree(*data) == agree(*data)


@pytest.mark.parametrize(("truth", "estimate", "people"), [([1.0], [1.0, 2.0], ["a"]), ([], [], []), ([1.0], [np.nan], ["a"])])
def test_bad_pairs_are_refused(truth, estimate, people):
    with pytest.raises(InputError):
        agree(truth, estimate, people)
