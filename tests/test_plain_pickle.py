"""Pickles give arrays and plain containers, and run nothing."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from umemma.errors import DataError
from umemma.sources.layouts import plain_pickle


class Runs:
    """Unpickled by the ordinary loader, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_numbers_texts_and_containers_are_read_in_every_protocol(protocol):
    content = {"a": np.arange(6.0).reshape(2, 3).T, "b": [np.float32(2.5), "é", b"\xff", (1, None)]}
    found = plain_pickle.loads(pickle.dumps(content, protocol))
    assert np.array_equal(found["a"], content["a"])
    assert found["b"] == content["b"]


def test_plain_strings_of_python_2_are_bytes():
    assert plain_pickle.loads(b"(dp0\nS'a'\np1\nV\\u00e9\np2\ns.") == {b"a": "é"}


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    place = tmp_path / "made"
    for content in (Runs(place), [np.zeros(2), {"a": Runs(place)}], np.array([Runs(place)], dtype=object)):
        with pytest.raises(DataError, match=r"its pickle holds posix\.mkdir; only arrays"):
            plain_pickle.loads(pickle.dumps(content, protocol))
    assert not place.exists()
    pickle.loads(pickle.dumps(Runs(place), protocol))
    assert place.exists(), "the ordinary loader does run it"


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(np.zeros(9))[:-20]])
def test_a_damaged_pickle_is_named(content):
    with pytest.raises(DataError, match="no readable pickle"):
        plain_pickle.loads(content)


def npy(value: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return buffer.getvalue()


def test_an_object_in_an_npy_file_is_read(tmp_path):
    assert plain_pickle.npy(npy(np.array({"a": 1}, dtype=object))) == {"a": 1}
    with pytest.raises(DataError, match=r"posix\.mkdir"):
        plain_pickle.npy(npy(np.array({"a": Runs(tmp_path / "made")}, dtype=object)))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"garbage", r"no readable \.npy file"), (npy(np.zeros(3)), r"holds an array \(3,\) of float64, not one object")],
)
def test_an_npy_file_without_an_object_is_named(content, sentence):
    with pytest.raises(DataError, match=sentence):
        plain_pickle.npy(content)
