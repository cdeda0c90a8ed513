"""Long recordings in files become several samples, cut at the same times, in one split."""

import io

import numpy as np
import pytest

from tests.table_sample import adapter, plain_rows, write_table
from umemma.errors import ParameterError

LENGTHS = {"train": 100, "val": 64, "test": 20}


def made(tmp_path, windows, **pulse):
    """A motion at 50 Hz and a pulse at 5 Hz, whose numbers are their times; the pulse ends after one second."""
    rows = plain_rows()
    for number, row in enumerate(rows):
        num_steps = LENGTHS[row["split"]]
        np.savetxt(tmp_path / f"m{number}.csv", np.stack([np.arange(num_steps) / 50] * 2, axis=1), delimiter=",")
        np.savetxt(tmp_path / f"p{number}.csv", np.stack([np.arange(6) / 5] * 2, axis=1), delimiter=",")
        row |= {"motion": f"m{number}.csv", "pulse": f"p{number}.csv"}
    modalities = {
        "motion": {"column": "motion", "kind": "series", "recording": {"time": 0, "rate_hz": 50.0}},
        "pulse": {"column": "pulse", "kind": "series", "recording": {"time": 0, "rate_hz": 5.0}} | pulse,
        "note": {"column": "note", "kind": "text"},
    }
    return adapter(write_table(tmp_path / "t.csv", rows), modalities=modalities, windows=windows)


def values(sample, modality):
    member = sample.members.get(f"{modality}.npy")
    return None if member is None else np.load(io.BytesIO(member))[:, 0].tolist()


def test_windows_of_all_series_are_cut_at_the_same_times(tmp_path):
    table = made(tmp_path, {"seconds": 0.8, "stride": 0.4})
    per_row = {"train": 4, "val": 2, "test": 2}  # of 2 s and 1.28 s of motion, and of 1.2 s of pulse
    num_rows = {split: sum(row["split"] == split for row in plain_rows()) for split in LENGTHS}
    assert table.num_samples == {split: per_row[split] * num_rows[split] for split in LENGTHS}
    second = table.sample("train", 1)
    np.testing.assert_allclose(values(second, "motion"), np.arange(20, 60) / 50, atol=1e-6)
    np.testing.assert_allclose(values(second, "pulse"), np.arange(2, 6) / 5, atol=1e-6)
    assert values(table.sample("train", 3), "pulse") is None, "the pulse had ended: it is missing"
    assert len(values(table.sample("test", 0), "motion")) == 20


def test_windows_of_a_row_share_label_group_and_what_is_no_series(tmp_path):
    table = made(tmp_path, {"seconds": 1.0})
    first, second, other = (table.sample("train", index) for index in range(3))
    assert (first.key, second.key) == ("k0-00000", "k0-00001")
    assert (first.label, first.group, first.members["note.txt"]) == (
        second.label,
        second.group,
        second.members["note.txt"],
    )
    assert other.key == "k3-00000"
    assert other.group != first.group


def test_windows_are_the_same_in_any_order(tmp_path):
    table = made(tmp_path, {"seconds": 0.8, "stride": 0.4})
    there = [table.sample("train", index) for index in range(6)]
    assert [table.sample("train", index) for index in reversed(range(6))] == there[::-1]


def test_without_windows_a_row_is_a_sample(tmp_path):
    table = made(tmp_path, None)
    assert table.num_samples["train"] == sum(row["split"] == "train" for row in plain_rows())
    assert table.sample("train", 0).key == "k0"


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        ({"seconds": 1.0, "steps": 4}, "either in steps or in seconds"),
        ({}, "either in steps or in seconds"),
        ({"seconds": 0.01}, "at least one step of motion, 0.02 s"),
        ({"second": 1.0}, "second is 1.0"),
        ([1.0], r"must be \{seconds"),
    ],
)
def test_windows_that_cannot_be_are_named(tmp_path, windows, sentence):
    with pytest.raises(ParameterError, match=rf"dataset\.options\.windows.*{sentence}"):
        made(tmp_path, windows)


def test_seconds_need_a_rate(tmp_path):
    with pytest.raises(ParameterError, match=r"needs dataset\.options\.modalities\.pulse\.recording\.rate_hz"):
        made(tmp_path, {"seconds": 1.0}, recording={"skip": [0]})
