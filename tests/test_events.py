"""Irregular events: which files hold some, and how they become a series."""

import io

import numpy as np
import pytest
import torch

from tests.table_sample import adapter, plain_rows, write_table
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


TABLE = {"file": "lab.csv", "key": "stay", "time": "hour", "variable": "what", "value": "amount"}
MODALITIES = {
    "lab": {"column": "id", "kind": "events", "events": TABLE | {"variables": ["sodium", "pH"]}},
    "note": {"column": "note", "kind": "text"},
}


def of_table(tmp_path, lines, **events):
    rows = [row | {"id": f"s{number}"} for number, row in enumerate(plain_rows())]
    (tmp_path / "lab.csv").write_text("\n".join(["stay,hour,what,amount", *lines]) + "\n")
    lab = MODALITIES["lab"] | {"events": MODALITIES["lab"]["events"] | events}
    return adapter(write_table(tmp_path / "t.csv", rows), modalities=MODALITIES | {"lab": lab})


def test_a_table_of_events_beside_the_main_one_gives_each_sample_its_own(tmp_path):
    lines = ["s0,3.5,sodium,141", "s1,0,pH,7.4", "s0,1,pH,7.2", "s0,2,pulse,80", "s0,4,pH,"]
    table = of_table(tmp_path, lines)
    member = table.sample("train", 0).members["lab.events"]
    np.testing.assert_allclose(np.load(io.BytesIO(member)), [[1, 1, 7.2], [3.5, 0, 141]])
    absent = [
        key
        for split in table.num_samples
        for index in range(table.num_samples[split])
        if "lab.events" not in (sample := table.sample(split, index)).members
        for key in [sample.key]
    ]
    assert len(absent) == len(plain_rows()) - 2, "of most samples nothing was measured: the modality is missing"
    assert tmp_path / "lab.csv" in table.lists, "so that a change of it is seen"


def test_times_as_text_become_hours_since_the_first_of_the_sample(tmp_path):
    lines = ["s0,2024-05-01T10:30,pH,7.2", "s0,2024-05-01T09:00,pulse,80", "s0,2024-05-02T09:00,sodium,141"]
    member = of_table(tmp_path, lines, time_format="iso").sample("train", 0).members["lab.events"]
    np.testing.assert_allclose(np.load(io.BytesIO(member)), [[1.5, 1, 7.2], [24, 0, 141]])


@pytest.mark.parametrize(
    ("lines", "events", "sentence"),
    [
        (["s0,soon,pH,7.2"], {}, r"lab\.csv line 2: no usable event: 'soon' is no number"),
        (["s0,1,pH,high"], {}, r"lab\.csv line 2: no usable event: 'high' is no number"),
        (["s0,1,PH,7.2"], {}, "holds none of the variables sodium, pH"),
        (["s0,1,pH,7.2"], {"variable": "name"}, r"events\.variable.*'name'"),
        (["s0,1,pH,7.2"], {"variables": []}, r"modalities\.lab\.events: variables is \[\]"),
        (["s0,1,pH,7.2"], {"file": "../lab.csv"}, r"events\.file: .*leads out of the data root"),
    ],
)
def test_a_table_of_events_that_cannot_be_used_is_named(tmp_path, lines, events, sentence):
    with pytest.raises((DataError, ParameterError), match=sentence):
        of_table(tmp_path, lines, **events)
