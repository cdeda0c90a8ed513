"""Sensor files as programs write them: what `init` finds in them, and what the table's adapter reads."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
import scipy.io

from tests.table_sample import adapter, plain_rows, write_table
from umemma.data.sample import BadSample
from umemma.errors import ParameterError
from umemma.init import arrays
from umemma.init.recordings import are_numbers, look
from umemma.sources.tables import resampling
from umemma.sources.tables.file import Table
from umemma.sources.tables.members import Folders, Members
from umemma.sources.tables.recordings import Recording
from umemma.sources.tables.series import Reading, npy
from umemma.sources.tables.sources import source

NAN = np.nan
WAVES = [np.random.default_rng(seed).normal(size=(30 + seed, 3)).round(4) for seed in range(4)]


def written(header: str = "", *, step: str = "{0},{1},{2}", decimal: str = ".") -> list[bytes]:
    """Write the waves, a line for each step: {0} to {2} are its numbers, {i} its place, {ms} its time."""
    files = []
    for number, wave in enumerate(WAVES):
        lines = [
            step.format(
                *(f"{value:.4f}".replace(".", decimal) for value in row),
                i=i,
                ms=1_614_852_000_000 + 20 * i,
                s=f"{number + 0.02 * i:.2f}",
                iso=pd.Timestamp("2021-03-04") + pd.Timedelta(20 * i, "ms"),
            )
            for i, row in enumerate(wave)
        ]
        files.append((header + "\n".join(lines) + "\n").encode())
    return files


FILES = {  # what programs write: (files, settings)
    "numbers alone": (written(), {}),
    "a header": (written("ax,ay,az\n"), {}),
    "a header of numbers, as pandas": (written("0,1,2\n"), {"header": 1}),
    "an index, as pandas": (written(",0,1,2\n", step="{i},{0},{1},{2}"), {"header": 1, "skip": [0]}),
    "a named index": (written("step,ax,ay,az\n", step="{i},{0},{1},{2}"), {"skip": ["step"]}),
    "times as text": (
        written("when,ax,ay,az\n", step="{iso},{0},{1},{2}"),
        {"time": "when", "unit": "iso", "rate_hz": 50.0},
    ),
    "Unix milliseconds": (
        written("t,ax,ay,az\n", step="{ms},{0},{1},{2}"),
        {"time": "t", "unit": "ms", "rate_hz": 50.0},
    ),
    "seconds without a name": (written(step="{s},{0},{1},{2}"), {"time": 0, "unit": "s", "rate_hz": 50.0}),
    "blanks": (written(step=" {0}  {1}   {2}"), {"separator": " "}),
    "bars": (written(step="{0}|{1}|{2}"), {"separator": "|"}),
    "semicolons and decimal commas": (written(step="{0};{1};{2}", decimal=","), {"decimal": ","}),
    "tabs": (written("x\ty\tz\n", step="{0}\t{1}\t{2}"), {}),
    "a semicolon at the end": (written(step="{0},{1},{2};"), {"line_end": ";", "separator": ","}),
    "a comma at the end": (written("x,y,z,\n", step="{0},{1},{2},"), {"line_end": ","}),
    "a line of units": (written("ax,ay,az\ng,g,g\n"), {"header": 2}),
    "a title above the header": (written("made by a logger\nax,ay,az\n"), {"header": 2}),
    "comments": (written("# 50 Hz\n# left hand\nax,ay,az\n"), {"comment": "#"}),
    "the activity in words": (written("ax,ay,az,what\n", step="{0},{1},{2},walk"), {"skip": ["what"]}),
    "a byte order mark": ([b"\xef\xbb\xbf" + file for file in written("ax,ay,az\n")], {}),
    "a header in most": (
        [
            file.partition(b"\n")[2] if number == 0 else file
            for number, file in enumerate(written("n,ax,ay,az\n", step="{i},{0},{1},{2}"))
        ],
        {"skip": [0]},
    ),
    "UTF-16": ([file.decode().encode("utf-16") for file in written("ax,ay,az\n")], {"encoding": "utf-16"}),
}


@pytest.mark.parametrize("case", FILES)
def test_what_init_finds_reads_the_numbers_that_were_written(case):
    files, expected = FILES[case]
    found = look(files)
    assert found.settings == expected
    assert bool(found.said) == bool(expected.keys() - {"encoding"}), "what is no default is said"
    for file, wave in zip(files, WAVES, strict=True):
        np.testing.assert_allclose(Recording(**found.settings).from_text("m.csv", file), wave, atol=2e-4)


@pytest.mark.parametrize("number_cut", [1, 3])
def test_files_that_are_cut_off_in_their_last_line_do_not_hide_how_all_are_written(number_cut):
    files = written("step,ax,ay,az\n", step="{i},{0},{1},{2}")
    cut = [file[: file.rindex(b",")] if number < number_cut else file for number, file in enumerate(files)]
    assert look(cut).settings == {"skip": ["step"]}


def test_files_of_different_rates_are_brought_to_one():
    slow = b"t,x\n" + b"".join(b"%d,%d\n" % (40 * i, 6 * i) for i in range(20))
    fast = b"t,x\n" + b"".join(b"%d,%d\n" % (20 * i, 3 * i) for i in range(40))
    found = look([slow, fast, fast])
    assert found.settings == {"time": "t", "unit": "ms", "rate_hz": 50.0}
    assert "25 to 50 Hz, all brought to 50 Hz" in found.said[0]
    recording = Recording(**found.settings)
    np.testing.assert_allclose(recording.from_text("m.csv", slow)[:, 0], 3 * np.arange(39))
    np.testing.assert_allclose(recording.from_text("m.csv", fast)[:, 0], 3 * np.arange(40))


def test_milliseconds_since_1970_leave_the_values_as_they_are():
    file = "t,x\n" + "".join(f"{1614852000000 + i},{1000 * (-1) ** i}\n" for i in range(400))
    read = Recording(time="t", unit="ms", rate_hz=1000).from_text("m.csv", file.encode())
    np.testing.assert_allclose(read[:, 0], 1000 * (-1.0) ** np.arange(400), atol=1e-4)


def test_a_gap_in_time_stays_a_gap():
    seconds = np.array([0.0, 0.1, 0.2, 0.6, 0.7, 0.8])
    series = resampling.at_rate(seconds, seconds[:, None], 10.0)
    np.testing.assert_allclose(series[:, 0], [0, 0.1, 0.2, NAN, NAN, NAN, 0.6, 0.7, 0.8], atol=1e-6)


def test_a_clock_that_jitters_loses_no_step():
    rng = np.random.default_rng(0)
    seconds = np.arange(200) / 50 + rng.uniform(-0.004, 0.004, 200)
    series = resampling.at_rate(np.sort(seconds), np.sin(2 * np.pi * np.sort(seconds))[:, None], 50.0)
    assert not np.isnan(series).any()
    np.testing.assert_allclose(
        series[:, 0], np.sin(2 * np.pi * (seconds.min() + np.arange(len(series)) / 50)), atol=0.02
    )


def test_a_lower_rate_holds_no_alias_of_a_fast_vibration_and_keeps_a_slow_one():
    seconds = np.arange(1000) / 100
    slow, fast = np.sin(2 * np.pi * 1.0 * seconds), np.sin(2 * np.pi * 40.0 * seconds)
    series = resampling.at_rate(seconds, np.stack([slow, fast], axis=1), 25.0)
    assert len(series) == 250
    np.testing.assert_allclose(series[20:-20, 0], slow[::4][20:-20], atol=0.02)
    assert np.abs(series[20:-20, 1]).max() < 0.02


def test_gaps_have_no_weight_in_the_filter():
    values = np.full((400, 1), 1013.0)
    values[100:200] = NAN
    series = resampling.at_rate(np.arange(400) / 100, values, 25.0)
    assert np.isnan(series[27:48]).all()
    np.testing.assert_allclose(series[~np.isnan(series)], 1013.0, rtol=1e-4)


@pytest.mark.parametrize("rate_hz", [50_000.0, 7_919.0])
def test_a_rate_may_be_thousands_of_times_lower(rate_hz):
    """A sensor at 50 kHz, of which 10 values a second are wanted."""
    seconds = np.arange(0, 10, 1 / rate_hz)
    slow, fast = (np.sin(2 * np.pi * hz * seconds) for hz in (0.5, 997.0))
    slow[2 * len(slow) // 5 : 3 * len(slow) // 5] = np.nan
    series = resampling.at_rate(seconds, np.stack([slow, fast], axis=1), 10.0)
    assert len(series) == 100
    assert np.isnan(series[42:58, 0]).all()
    clear = [*range(10, 30), *range(70, 90)]  # of the filter's ends
    assert np.abs(series[clear, 0] - np.sin(np.pi * np.array(clear) / 10)).max() < 0.02
    assert np.abs(series[10:90, 1]).max() < 0.02


def test_pieces_of_a_grid_are_the_whole_grid(monkeypatch):
    rng = np.random.default_rng(0)
    seconds, values = np.cumsum(rng.choice([0.1, 0.1, 0.5], 50)), rng.normal(size=(50, 2))
    values[rng.random((50, 2)) < 0.2] = np.nan
    whole = [resampling.at_rate(seconds, values, rate_hz) for rate_hz in (3.0, 25.0)]
    monkeypatch.setattr(resampling, "_STEPS_AT_ONCE", 7)
    for rate_hz, series in zip((3.0, 25.0), whole, strict=True):
        np.testing.assert_array_equal(resampling.at_rate(seconds, values, rate_hz), series)


def test_measurements_of_one_time_are_averaged():
    series = resampling.at_rate(np.array([0.0, 0.1, 0.1, 0.2]), np.array([[0.0], [1], [3], [4]]), 10.0)
    np.testing.assert_allclose(series[:, 0], [0, 2, 4])


@pytest.mark.parametrize(
    ("settings", "content", "reason"),
    [
        ({"time": "t", "rate_hz": 1.0}, b"t,x\n1,2\n0,3\n", "time goes back: in line 3"),
        ({"time": "t", "rate_hz": 1.0}, b"t,x\n1,2\n,3\n", "no usable time: line 3"),
        ({"time": "when"}, b"t,x\n1,2\n", "no such column: 'when'; there are t, x"),
        ({"skip": [7]}, b"1,2\n", "no such column: 7; there are 2, from 0 on"),
        ({"skip": [0, 1]}, b"1,2\n", "holds no channel"),
        ({"encoding": "utf-9"}, b"1,2\n", r"no readable \.csv file: unknown encoding: utf-9"),
    ],
)
def test_what_does_not_fit_the_settings_is_named(settings, content, reason):
    with pytest.raises(BadSample, match=reason):
        Recording(**settings).from_text("m.csv", content)


def test_a_setting_of_files_that_does_not_exist_is_named(tmp_path):
    path = write_table(tmp_path / "t.csv", [row | {"m": "m.csv"} for row in plain_rows()])
    for entry, sentence in (
        ({"recording": {"sep": ";"}}, r"modalities\.m\.recording: sep is ';'"),
        ({"recording": {"rate_hz": 0.0}}, r"rate_hz is 0\.0"),
        ({"layout": "channels"}, r"no layout of a series called 'channels'.*Did you mean 'channels_"),
        ({"array": 3}, r"m\.array must be the name of an array"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            adapter(path, modalities={"m": {"column": "m", "kind": "series", **entry}})


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_a_table_of_columns_is_a_series_too(suffix):
    times = pd.Timestamp("2021-03-04") + pd.to_timedelta(np.arange(30) * 20, unit="ms")
    frame = pd.DataFrame({"when": times, "x": WAVES[0][:, 0], "y": np.where(np.arange(30) == 4, NAN, 1.0)})
    buffer = io.BytesIO()
    getattr(frame, f"to_{suffix}")(buffer)
    reading = Reading("series", recording=Recording(time="when", unit="iso", rate_hz=50.0))
    values = np.load(io.BytesIO(reading.of_file(f"m.{suffix}", suffix, buffer.getvalue())))
    np.testing.assert_allclose(values[:, 0], WAVES[0][:, 0], rtol=1e-6)
    assert np.flatnonzero(np.isnan(values[:, 1])).tolist() == [4]


def test_arrays_in_archives_are_found_by_name():
    from scipy.io import savemat

    for suffix, save in (("npz", np.savez), ("mat", savemat)):
        one, two = io.BytesIO(), io.BytesIO()
        if suffix == "npz":
            save(one, acc=WAVES[0])
            save(two, acc=WAVES[0], rate=np.array([50.0]))
        else:
            save(one, {"acc": WAVES[0]})
            save(two, {"acc": WAVES[0], "rate": np.array([50.0])})
        for content, name in ((one, None), (two, "acc")):
            read = Reading("series", array=name).of_file(f"m.{suffix}", suffix, content.getvalue())
            np.testing.assert_allclose(np.load(io.BytesIO(read)), WAVES[0])
        with pytest.raises(BadSample, match=r"`array` must name one of its arrays: there are acc \(30, 3\), rate \(1"):
            Reading("series").of_file(f"m.{suffix}", suffix, two.getvalue())
        with pytest.raises(BadSample, match="it holds no array 'gyro'"):
            Reading("series", array="gyro").of_file(f"m.{suffix}", suffix, two.getvalue())


@pytest.mark.parametrize(
    ("shapes", "settings"),
    [
        ([(200, 3), (180, 3)], {"kind": "series"}),
        ([(3, 200), (3, 180)], {"kind": "series", "layout": "channels_first"}),
        ([(3, 200)] * 4, {"kind": "series", "layout": "channels_first"}),
        ([(200, 3)] * 4, {"kind": "series"}),
        ([(3, 5), (4, 5)], {"kind": "series"}),  # the axis that varies is time
        ([(1, 512)] * 4, {"kind": "vector"}),
        ([(1, 200), (1, 180)], {"kind": "series", "layout": "channels_first"}),
        ([(1, 200, 3), (1, 180, 3)], {"kind": "series"}),
        ([(512,)] * 3, {"kind": "vector"}),
    ],
)
def test_the_axis_of_time_is_found_by_the_shapes_of_several_files(shapes, settings):
    found, said = arrays.look(shapes)
    assert found == settings
    assert bool(said) == ("layout" in settings or shapes[0] == (1, 512)), "what is not plain is asked about"


def test_channels_first_and_a_batch_of_one_are_brought_to_step_and_channel():
    first = Reading("series", layout="channels_first").of_array("m.npy", WAVES[0].T)
    np.testing.assert_array_equal(np.load(io.BytesIO(first)), WAVES[0])
    batch = Reading("series").of_array("m.npy", WAVES[0][None])
    np.testing.assert_array_equal(np.load(io.BytesIO(batch)), WAVES[0])
    vector = Reading("vector").of_file("v.npy", "npy", npy(WAVES[0][None, :, 0]))
    np.testing.assert_array_equal(np.load(io.BytesIO(vector)), WAVES[0][:, 0])


def test_a_text_file_of_numbers_is_told_from_prose():
    assert all(map(are_numbers, written("ax ay az\n", step="{0} {1} {2}")))
    assert not are_numbers(b"It was 1913,\nand 3 of 12 ships had come home.\n")


def whole_file(frame: pd.DataFrame, suffix: str) -> bytes:
    file = io.BytesIO()
    if suffix == "csv":
        return frame.to_csv(index=False).encode()
    if suffix in ("parquet", "feather"):
        getattr(frame, f"to_{suffix}")(file)
    elif suffix == "npy":
        np.save(file, frame.to_numpy())
    elif suffix == "npz":
        np.savez(file, frame.to_numpy())
    else:
        scipy.io.savemat(file, {"x": frame.to_numpy()})
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "feather", "npy", "npz", "mat"])
@pytest.mark.parametrize("given", ["bytes", "base64"])
def test_a_recording_in_a_cell_or_a_request_is_read_as_the_file_is(tmp_path, suffix, given):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.5], "y": [0.5, -1.0, 4.0]})
    content = whole_file(frame, suffix)
    (tmp_path / f"a.{suffix}").write_bytes(content)
    cell = content if given == "bytes" else {"base64": base64.b64encode(content).decode()}
    table = Table(tmp_path / "t.csv", {"s": [f"a.{suffix}", cell]}, [1, 2])
    sources = {"s": source("s", {"column": "s", "kind": "series"})}
    members = Members(table, sources, Folders(tmp_path, (tmp_path,)), (), {})
    assert members.member("s", 1) == members.member("s", 0)
    assert np.load(io.BytesIO(members.member("s", 1)[1])).tolist() == frame.to_numpy().tolist()


def test_a_picture_where_a_recording_should_be_is_no_recording(tmp_path):
    table = Table(tmp_path / "t.csv", {"s": [b"\x89PNG\r\n\x1a\n" + bytes(range(256))]}, [1])
    members = Members(
        table, {"s": source("s", {"column": "s", "kind": "series"})}, Folders(tmp_path, (tmp_path,)), (), {}
    )
    with pytest.raises(BadSample, match=r"line 1, s\.csv: no readable \.csv file: 'utf-8'"):
        members.member("s", 0)
