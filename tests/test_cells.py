"""What a cell holds is read as it was meant: lists written as text, numbers as people write them, words, times."""

import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umemma.errors import ParameterError
from umemma.sources.tables import cells
from umemma.sources.tables.readings import numbers, readings

LABELS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8), min_size=1, max_size=4)


@given(LABELS)
def test_a_list_of_words_comes_out_as_it_went_in_however_it_was_written(words):
    for written in (words, tuple(words), np.array(words, object), json.dumps(words), str(words), str(tuple(words))):
        assert cells.structure(written) == words


@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=1, max_size=6))
def test_numbers_of_an_embedding_come_out_as_they_went_in_however_they_were_printed(numbers):
    array = np.array(numbers)
    with np.printoptions(floatmode="unique", linewidth=40):
        written = [str(array), repr(array), f"tensor({numbers}, device='cuda:0')", str(numbers), json.dumps(numbers)]
    for text in written:
        assert cells.structure(text) == numbers


@pytest.mark.parametrize(
    "written", ["[a]", "[0. 1. ... 2. 3.]", "plain", "[", "(see below)", "{x}", "[1, 2", "__import__('os')", "[f(1)]"]
)
def test_text_that_is_no_list_stays_text(written):
    assert cells.structure(written) is None
    assert cells.items(written, "|") == [written]


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("['Action' 'Drama']", ["Action", "Drama"]),  # as NumPy prints
        ("{'a', 'b'}", ["a", "b"]),
        ("[{'id': 18, 'name': \"Drama's\"}, {'id': 2, 'name': 'War'}]", ["Drama's", "War"]),
        ({"id": 18, "name": "Drama"}, ["Drama"]),
        ("[1.0, 2]", ["1", "2"]),
        (["a", None, " "], ["a"]),
        ("a | b", ["a", "b"]),
        (["a|b"], ["a|b"]),
    ],
)
def test_labels_are_read_from_lists_and_objects(written, labels):
    assert cells.items(written, "|") == labels


def test_an_object_that_names_nothing_is_no_label():
    with pytest.raises(ValueError, match=r"\{'score': 1\} has none of the keys name, label"):
        cells.items("[{'score': 1}]", "|")


@pytest.mark.parametrize("written", ["[0, 1, 0]", [0, 1, 0], "[0. 1. 0.]", "[False, True, False]", np.array([0, 1, 0])])
def test_a_list_of_0_and_1_says_which_classes_apply(written):
    assert cells.one_hot(written) == [False, True, False]
    assert cells.one_hot("[0, 2]") is None
    assert cells.one_hot("[1]") is None


@pytest.mark.parametrize("cell", [None, "", " ", "[]", "{}", float("nan"), [], {}, b"", np.array([]), "NaN", "<NA>"])
def test_an_empty_cell_is_missing_in_every_form(cell):
    assert cells.is_missing(cell)


def values_of(entry, written):
    """Read cells of one column as a setting says; return (row, number)."""
    result = numbers(readings({"x": entry})["x"], written, cells.MISSING)
    assert not result.bad, result.bad
    return result.values


GROUPS = {",": ".", ".": ",", " ": ",", "'": ".", "": "."}  # what stands between thousands: the decimal mark beside it


@given(
    st.floats(-(2.0**40), 2.0**40),
    st.sampled_from(sorted(GROUPS)),
    st.sampled_from(["{}", "{} kg", "{}kg", "{} %", "${}", "EUR {}", " {} "]),
    st.sampled_from(["-", "\u2212", "("]),
)
def test_a_number_comes_out_as_it_went_in_however_it_was_written(number, thousands, form, minus):
    digits = f"{abs(number):,f}".translate(str.maketrans({",": thousands, ".": GROUPS[thousands]}))
    signed = digits if number >= 0 else f"({digits})" if minus == "(" else minus + digits
    entry = {"type": "number", "decimal": GROUPS[thousands], "thousands": thousands}
    entry["units"] = {unit: 1 for unit in ("kg", "%", "$", "EUR")}
    assert values_of(entry, [form.format(signed)]).tolist() == [[np.float32(float(f"{number:f}"))]]
    assert values_of(entry, [number, str(int(number))]).tolist() == [[np.float32(number)], [np.float32(int(number))]]


def test_words_units_and_holes_of_numbers_are_what_the_settings_say():
    entry = {"type": "number", "units": {"kg": 1, "g": 0.001}, "words": {"none": 0}, "missing": ["?", "\\N"]}
    read = values_of(entry | {"words": {"zero": 0}}, ["12 kg", "500 g", "3", "ZERO", "?", "\\n", "", None, 4, True])
    np.testing.assert_array_equal(read[:, 0], np.float32([12, 0.5, 3, 0, np.nan, np.nan, np.nan, np.nan, 4, 1]))


def test_a_cell_that_is_no_number_makes_its_row_bad_or_is_counted_as_not_measured():
    written = ["1", "high", "inf", "1e39", "1_0", "1,5", "12 kg"]
    plain = numbers(readings({"x": {"type": "number"}})["x"], written, cells.MISSING)
    assert sorted(plain.bad) == [1, 2, 3, 4, 5, 6]
    assert plain.bad[1] == "'high' is no number"
    chosen = numbers(readings({"x": {"type": "number", "unreadable": "missing"}})["x"], written, cells.MISSING)
    assert (chosen.bad, chosen.dropped, np.isnan(chosen.values).sum()) == ({}, [1, 2, 3, 4, 5, 6], 6)


@pytest.mark.parametrize("written", ["1,23", "12,34,5", "1.5.2", "--1", "1 2", "1,2345", ",5", "", "kg", "1e", "NaN,1"])
def test_what_is_no_number_with_thousands_is_not_half_read(written):
    reading = readings({"x": {"type": "number", "thousands": ","}})["x"]
    assert numbers(reading, [written or "x"], cells.MISSING).bad


ZONES = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=ZONES))
def test_a_time_is_the_same_number_of_days_however_it_was_written(moment):
    moment = moment.replace(microsecond=0)
    days = np.float32((moment - datetime(2000, 1, 1, tzinfo=UTC)).total_seconds() / 86400)
    in_utc = moment.astimezone(UTC)
    ways = {
        "iso": [
            moment.isoformat(),
            f"{in_utc:%Y-%m-%d %H:%M:%S}",
            f"{in_utc:%Y-%m-%dT%H:%M:%SZ}",
            f"{in_utc:%Y%m%dT%H%M%S}",
        ],
        "%d/%m/%Y %H:%M:%S": [f"{in_utc:%d/%m/%Y %H:%M:%S}"],
        "%d %b %Y %I:%M:%S %p %z": [f"{moment:%d %b %Y %I:%M:%S %p %z}"],
        "unix": [int(moment.timestamp()), str(moment.timestamp())],
        "unix_ms": [int(moment.timestamp() * 1000)],
    }
    for form, written in ways.items():
        read = values_of({"type": "time", "format": form, "since": "2000-01-01"}, written)
        assert (read == days).all(), (form, written)


def test_the_time_of_day_is_that_on_the_wall_and_closes_at_midnight():
    entry = {"type": "time", "parts": ["time_of_day", "weekday"]}
    read = values_of(entry, ["2024-06-03T18:00+05:00", "2024-06-03", "2024-06-02T23:59:59.9", "18:00", None])
    np.testing.assert_allclose(read[:3, :2], [[-1, 0], [0, 1], [0, 1]], atol=1e-4)
    assert read[0, 2:].tolist() == [1, 0, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(read[3, :2], read[0, :2])
    assert np.isnan(read[4]).all()
    reading = readings({"x": entry})["x"]
    assert reading.names[2] == "Monday"
    assert (
        numbers(reading, ["yesterday", "31.12.2024"], cells.MISSING).bad[1]
        == "'31.12.2024' is no time as 'iso' writes it"
    )


def test_a_word_that_is_not_listed_is_other_and_its_row_stays():
    read = values_of(
        {"type": "category", "words": ["red", "Blue"], "missing": ["?"]}, ["red", "BLUE ", "green", "?", None]
    )
    np.testing.assert_array_equal(read, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [np.nan] * 3, [np.nan] * 3])
    apart = values_of({"type": "category", "words": ["A", "a"]}, ["A", "a"])
    np.testing.assert_array_equal(apart, [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("number", r"columns\.x must be \{type: \.\.\.\}"),
        ({"type": "numbers"}, r"columns\.x\.type: .*'numbers'; there are .*Did you mean 'number'"),
        ({"type": "number", "decimal": ";"}, "decimal is ';'"),
        ({"type": "number", "mark": "."}, "mark is '.'"),
        ({"type": "category"}, "words"),
        ({"type": "time", "parts": ["hour"]}, "parts.0 is 'hour'"),
    ],
)
def test_a_reading_that_cannot_be_is_named_with_what_can(entry, said):
    with pytest.raises(ParameterError, match=said):
        readings({"x": entry})
