"""Irregular events to statistics: an independent formula for each, holes, and what is no event."""

import numpy as np
import pytest

from umemma.errors import DataError
from umemma.media.decoders.statistics import STATISTICS, Decoder
from umemma.sources.tables.series import npy

SPAN = 48.0


def decoded(events, variables=3):
    values = Decoder(variables=variables, span=SPAN)(npy(np.array(events, np.float32)))
    assert values.shape == (variables * len(STATISTICS),)
    return [dict(zip(STATISTICS, row, strict=True)) for row in values.numpy().reshape(variables, -1).astype(float)]


@pytest.fixture
def events():
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(0, SPAN, 60), rng.integers(0, 2, 60), rng.normal(50, 9, 60)], axis=1).astype(
        np.float32
    )


def test_each_statistic_is_that_of_a_variables_own_events(events):
    for variable, found in enumerate(decoded(events)[:2]):
        own = events[events[:, 1] == variable].astype(float)
        time, value = own[np.argsort(own[:, 0])][:, [0, 2]].T
        time = time / SPAN
        weight = 0.5 ** (8 * (time[-1] - time))
        expected = {
            "count": len(value),
            "mean": value.mean(),
            "min": value.min(),
            "max": value.max(),
            "sd": value.std(),
            "median": np.median(value),
            "first": value[0],
            "last": value[-1],
            "time of first": time[0],
            "time of last": time[-1],
            "slope": np.polyfit(time, value, 1)[0],
            "last - first": value[-1] - value[0],
            "mean of first half": value[time <= 0.5].mean(),
            "min of first half": value[time <= 0.5].min(),
            "max of first half": value[time <= 0.5].max(),
            "mean of last quarter": value[time >= 0.75].mean(),
            "min of last quarter": value[time >= 0.75].min(),
            "max of last quarter": value[time >= 0.75].max(),
            "recent mean": (weight * value).sum() / weight.sum(),
            "mean step": np.abs(np.diff(value)).mean(),
            "longest gap": np.diff([0, *time, 1]).max(),
        }
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_variable_without_events_has_count_0_and_no_other_statistic(events):
    unmeasured = decoded(events)[2]
    assert unmeasured.pop("count") == 0
    assert np.isnan(list(unmeasured.values())).all()


def test_a_single_event_has_no_step_and_no_later_half():
    only = decoded([[6.0, 1, 7.5]], variables=2)[1]
    assert only["slope"] == only["sd"] == only["last - first"] == 0
    assert only["mean"] == only["median"] == only["max of first half"] == only["recent mean"] == 7.5
    assert np.isnan([only["mean step"], only["mean of last quarter"], only["max of last quarter"]]).all()
    assert only["longest gap"] == pytest.approx(42 / 48)


def test_the_order_of_events_does_not_matter(events):
    shuffled = np.random.default_rng(1).permutation(events)
    np.testing.assert_equal(decoded(shuffled), decoded(events))


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([[0.0, 3, 1.0]], "variable 3, but decode.variables are 3"),
        ([[0.0, -1, 1.0]], "is a whole number from 0 on"),
        ([[0.0, 0.5, 1.0]], "is a whole number from 0 on"),
        ([[0.0, 1.0]], "events have 3 columns"),
    ],
)
def test_what_is_no_event_is_an_error(events, reason):
    with pytest.raises(DataError, match=reason):
        decoded(events)
