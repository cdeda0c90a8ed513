"""What a cell holds is read as it was meant: lists written as text, numbers as people write them, words, times."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umemma.sources.tables import cells

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
