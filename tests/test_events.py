"""Irregular events: which files hold some, and how they become a series."""

import io

import numpy as np
import pytest
import torch

from umemma.errors import DataError, ParameterError
from umemma.media.decoders.events import Decoder
from umemma.media.facts import facts

NAN = float("nan")
STAY = [  # minutes, variable, value; not in order
    [70.0, 1, 5.0],
    [0.0, 0, 80.0],
    [59.0, 0, 100.0],
    [240.0, 0, 60.0],
    [75.0, 1, 9.0],
]


def packed(events: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(events))
    return buffer.getvalue()


@pytest.mark.parametrize(("value", "first", "second"), [("mean", 90.0, 7.0), ("last", 100.0, 9.0)])
def test_events_become_a_series_of_bins_with_nan_where_nothing_was_measured(value, first, second):
    series = Decoder(variables=["HR", "pH", "Na"], span=240, bins=4, value=value)(packed(STAY))
    assert series.dtype == torch.float32
    np.testing.assert_array_equal(series, [[first, NAN, NAN, 60.0], [NAN, second, NAN, NAN], [NAN] * 4])


def test_the_order_of_events_does_not_matter():
    decoder = Decoder(variables=2, span=240, bins=4, value="last")
    torch.testing.assert_close(decoder(packed(STAY)), decoder(packed(STAY[::-1])), equal_nan=True)


def test_facts_of_events():
    assert (
        facts("vitals.events", packed(STAY)).items()
        >= {"kind": "events", "num_events": 5, "num_variables": 2, "blank": False}.items()
    )
    assert facts("vitals.events", packed(STAY[:1]))["blank"] is False  # a single measurement is no constant


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ([[1.0, 2.0]], "events have 3 columns .* not 2"),
        ([[1.0, 0.5, 2.0]], "a whole number from 0 on, not 0.5"),
        ([[1.0, -1, 2.0]], "a whole number from 0 on, not -1"),
        ([[1.0, 0, NAN]], "an event holds NaN"),
        ([[1.0, 0, np.inf]], "infinity"),
        (np.zeros((0, 3)), "no readable series"),
    ],
)
def test_what_is_no_event_is_named(events, sentence):
    with pytest.raises(DataError, match=rf"^vitals\.events: .*{sentence}"):
        facts("vitals.events", packed(events))


@pytest.mark.parametrize(
    ("event", "sentence"),
    [([1.0, 2, 3.0], "variable 2, but decode.variables are 2"), ([-5.0, 0, 3.0], "outside of 0 to decode.span, 240")],
)
def test_an_event_that_the_settings_do_not_foresee_is_named(event, sentence):
    with pytest.raises(DataError, match=sentence):
        Decoder(variables=2, span=240, bins=4)(packed([event]))


def test_settings_that_cannot_be_are_named():
    with pytest.raises(ValueError, match="must be above 0"):
        Decoder(variables=2, span=0, bins=4)
    with pytest.raises(ParameterError, match="'median'; there are last, mean"):
        Decoder(variables=2, span=1, bins=4, value="median")
