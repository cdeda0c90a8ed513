"""UCI Multiple Features: six files about the same digits."""

import io

import numpy as np
import pytest

from tests import trees
from umemma.errors import DataError
from umemma.sources.adapters.multiple_features import SETS, Adapter, raw_files


@pytest.fixture
def root(tmp_path):
    trees.multiple_features(tmp_path)
    return tmp_path


def test_a_digit_has_its_line_of_each_file_without_the_class(root):
    sample = Adapter(root).sample("test", 3)
    row = int(sample.key.removeprefix("digit-"))
    for name, file in SETS.items():
        *values, label = (root / "mfeat" / file).read_text().splitlines()[row + 1].split(",")
        np.testing.assert_allclose(
            np.load(io.BytesIO(sample.members[f"{name}.npy"])), np.array(values, float), rtol=1e-6
        )
        assert sample.label == int(label)


def test_the_same_scan_twice_is_one_group_and_in_one_split(root):
    path = root / raw_files()[4]
    lines = path.read_text().splitlines()
    for row in range(2, 100, 10):  # ten digits a class: the second of each is the first again
        lines[row] = lines[row - 1]
    path.write_text("\n".join(lines) + "\n")
    adapter = Adapter(root)
    samples = [adapter.sample(split, i) for split, count in adapter.num_samples.items() for i in range(count)]
    split_of = {int(sample.key[-4:]): (sample.split, sample.group) for sample in samples}
    assert all(split_of[row] == split_of[row + 1] for row in range(0, 100, 10))
    assert len({sample.group for sample in samples}) == 90


def test_files_of_other_digits_are_refused(root):
    path = root / raw_files()[2]
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1] + lines[:0:-1]))
    with pytest.raises(DataError, match="not about the same digits in the same order"):
        Adapter(root)
    path.write_text("\n".join([*lines[:5], "x,y"]))
    with pytest.raises(DataError, match=r"mfeat-kar\.csv is no table of numbers"):
        Adapter(root)
