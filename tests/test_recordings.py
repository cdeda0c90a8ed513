"""Sensors in one table, a row per time step: windows, the ends of recordings, holes, and splits that do not leak."""

import io

import numpy as np
import pytest

from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.recordings import Adapter

OPTIONS = {
    "classes": ["empty", "full"],
    "file": "room.csv",
    "label": "people",
    "modalities": {"air": ["co2", "heat"], "motion": ["pir"]},
    "window": {"steps": 4, "stride": 2},
    "split": {"block_steps": 12, "shares": {"train": 0.5, "val": 0.25, "test": 0.25}},
}
HEADER = "day,second,co2,heat,pir,people\n"


def rows(
    count, *, day=lambda step: 1, second=lambda step: 30 * step, people=lambda step: ("empty", "full")[step // 12 % 2]
):
    return [f"{day(step)},{second(step)},{step},{100 + step},{step % 2},{people(step)}" for step in range(count)]


def adapter(folder, lines, **options):
    (folder / "room.csv").write_text(HEADER + "\n".join(lines) + "\n")
    return Adapter(folder, **OPTIONS | options)


def every(built):
    return [built.sample(split, i) for split, count in built.num_samples.items() for i in range(count)]


def steps(sample):
    return np.load(io.BytesIO(sample.members["air.npy"]))[:, 0].tolist()


def test_a_window_has_its_rows_and_the_label_of_its_last_step(tmp_path):
    windows = {sample.key: sample for sample in every(adapter(tmp_path, rows(96)))}
    assert len(windows) == 8 * 5
    window = windows["room-0000014"]
    assert np.load(io.BytesIO(window.members["air.npy"])).tolist() == [[14 + i, 114 + i] for i in range(4)]
    assert np.load(io.BytesIO(window.members["motion.npy"])).tolist() == [[0], [1], [0], [1]]
    assert window.label == 1
    assert window.files["air.npy"] == f"{tmp_path / 'room.csv'}:16"
    assert all(sample.label == steps(sample)[-1] // 12 % 2 for sample in windows.values())


def test_windows_of_two_splits_share_no_row_and_every_split_has_every_class(tmp_path):
    samples = every(adapter(tmp_path, rows(192)))
    seen = {split: {row for s in samples if s.split == split for row in steps(s)} for split in ("train", "val", "test")}
    assert sum(map(len, seen.values())) == len(set().union(*seen.values()))
    assert {(sample.split, sample.label) for sample in samples} == {
        (split, label) for split in seen for label in (0, 1)
    }
    again = every(adapter(tmp_path, rows(192), seed=1))
    assert [s.key for s in again if s.split == "test"] != [s.key for s in samples if s.split == "test"]


def test_no_window_crosses_a_pause_or_the_end_of_a_recording(tmp_path):
    late = rows(96, second=lambda step: 30 * step + (999 if step >= 30 else 0))
    for lines, options in (
        (late, {"time": "second", "max_pause_seconds": 60}),
        (rows(96, second=lambda step: 30 * (step % 30)), {"time": "second", "max_pause_seconds": 60}),
        (rows(96, day=lambda step: step // 30), {"recording": ["day"]}),
    ):
        starts = [steps(sample) for sample in every(adapter(tmp_path, lines, **options))]
        assert not any(start[0] < 30 <= start[-1] for start in starts)
        assert any(start[0] < 24 <= start[-1] or start[0] == 30 for start in starts)


def test_dates_and_times_are_read_as_well_as_seconds(tmp_path):
    clock = rows(96, day=lambda step: "2017-12-22", second=lambda step: f"10:{step // 2:02d}:{30 * (step % 2):02d}")
    plain = [sample.key for sample in every(adapter(tmp_path, rows(96)))]
    assert [s.key for s in every(adapter(tmp_path, clock, time=["day", "second"], max_pause_seconds=45))] == plain
    with pytest.raises(DataError, match=r"no recording or block is 4 steps long"):
        adapter(tmp_path, clock, time=["day", "second"], max_pause_seconds=29)


def test_a_split_by_a_column_keeps_its_values_apart(tmp_path):
    lines = rows(120, day=lambda step: step // 24)
    built = adapter(tmp_path, lines, recording=["day"], split={"column": "day", "val": [3], "test": [4]})
    days = {
        split: {steps(built.sample(split, i))[0] // 24 for i in range(count)}
        for split, count in built.num_samples.items()
    }
    assert days == {"train": {0, 1, 2}, "val": {3}, "test": {4}}


def test_an_empty_cell_is_a_hole_and_a_window_of_holes_lacks_the_modality(tmp_path):
    lines = rows(96)
    lines[14] = "1,420,,114,0,full"
    lines[36:48] = [f"1,{30 * step},,,1,full" for step in range(36, 48)]
    windows = {sample.key: sample for sample in every(adapter(tmp_path, lines))}
    air = np.load(io.BytesIO(windows["room-0000014"].members["air.npy"]))
    assert np.isnan(air[0, 0])
    assert np.isfinite(air[0, 1])
    assert windows["room-0000038"].modalities == ("motion",)


def test_a_window_without_a_label_stops_unless_it_may_be_dropped_and_is_then_counted(tmp_path):
    lines = rows(96)
    lines[5] = "1,150,5,105,1,"
    with pytest.raises(DataError, match=r"room\.csv line 7: the cell of people is empty.*unlabelled=drop"):
        adapter(tmp_path, lines)
    built = adapter(tmp_path, lines, unlabelled="drop")
    assert [row.key for row in built.rejected] == ["room-0000002"]
    assert sum(built.num_samples.values()) == 39


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label": "persons"}, r"no column of .* called 'persons'.*people"),
        ({"modalities": {"air": "co2"}}, "modalities.air must be a list of columns"),
        ({"modalities": {"air": ["co3"]}}, "dataset.options.modalities.air.*'co3'"),
        ({"modalities": {"air": ["people"]}}, r"room\.csv line 2, people: 'empty' is no number"),
        ({"window": {"steps": 0, "stride": 1}}, "window.steps must be a whole number of rows above 0, not 0"),
        ({"window": {"steps": 40, "stride": 1}}, "no recording or block is 40 steps long"),
        ({"classes": ["empty", "crowded"]}, "full are not in dataset.classes"),
        ({"time": "second"}, "time and max_pause_seconds are given together"),
        ({"split": {"shares": {"val": 0.2}}}, r"is \{column, val, test\} or \{shares, block_steps\}"),
        ({"split": {"column": "day", "val": [7], "test": [1]}}, "column day has no 7"),
        ({"unlabelled": "keep"}, "no choice called 'keep'"),
        ({"file": ["a.csv", "b.csv"]}, r"holds no a\.csv or b\.csv"),
    ],
)
def test_an_option_that_is_none_is_named(tmp_path, options, sentence):
    with pytest.raises((ParameterError, DataError), match=sentence):
        adapter(tmp_path, rows(96), **options)
