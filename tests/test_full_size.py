"""The published data sets at full size: the numbers of rows are those of the lists, and the smallest goes through the stages."""

import json

import pytest

from tests import full_size
from tests.trees import AVE_LISTS, genuine, needs_genuine


@needs_genuine
def test_as_many_rows_are_judged_as_the_published_lists_have():
    lines = {
        "ave": [f"AVE_{name}" for name in AVE_LISTS.values()],
        "cremad": ["CREMAD_train.csv", "CREMAD_test.csv"],
        "kinetics_sounds": ["KS_my_train.txt", "KS_my_test.txt"],
    }
    counted = {name: sum(len(genuine(part).split("\n")) - 1 for part in parts) for name, parts in lines.items()}
    for name in ("food101", "mmimdb"):
        counted[name] = sum(map(len, json.loads(genuine(f"{name}_split.json")).values()))
    assert counted == full_size.JUDGED


@pytest.mark.slow
@needs_genuine
def test_the_smallest_of_them_goes_through_whole(tmp_path):
    assert [step.name for step in full_size.tried("ave", tmp_path)] == ["tree", *full_size.STAGES]
