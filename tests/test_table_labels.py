"""Labels as people write them: spellings, words for holes, lists as text, classes that are left out or merged."""

import unicodedata

import pytest

from tests.table_sample import write_table
from umemma.data.sample import SPLITS, BadSample
from umemma.errors import ParameterError
from umemma.sources.adapters.table import Adapter
from umemma.sources.tables import splits
from umemma.sources.tables.labels import Labels


def read(cell, classes, task="single_label", **options):
    label = Labels("label", classes, task, **options)([cell], "t.csv line 2")
    return classes[label] if isinstance(label, int) else [classes[number] for number in label]


@pytest.mark.parametrize(("written", "level"), [("1.0", "form"), ("1", "form"), (1.0, "exact"), ("1.0", "case")])
def test_a_whole_number_is_one_class_with_and_without_a_point(written, level):
    assert read(written, ["0", "1"], spellings=level) == "1"


def test_unicode_forms_and_invisible_characters_are_no_classes_of_their_own_unless_asked_for():
    for written in (unicodedata.normalize("NFD", "café"), "café\u200b", "\u00a0café ", "café"):
        assert read(written, ["café", "thé"]) == "café"
    with pytest.raises(BadSample, match="unknown label"):
        read(unicodedata.normalize("NFD", "café"), ["café", "thé"], spellings="exact")


def test_capitals_are_told_apart_unless_asked_not_to():
    assert read("CAT", ["cat", "dog"], spellings="case") == "cat"
    assert read("a", ["A", "a"]) == "a"
    with pytest.raises(ParameterError, match=r"'A' and 'a' are one class .*`spellings: form` keeps them apart"):
        Labels("label", ["A", "a"], "single_label", spellings="case")


def test_a_class_can_be_left_out_or_merged_into_another():
    relabel = {"rare": None, "odd": "other"}
    assert read("odd", ["a", "other"], relabel=relabel) == "other"
    with pytest.raises(BadSample, match=r"class left out: rare \(dataset.options.relabel\)") as raised:
        read("rare", ["a", "other"], relabel=relabel)
    assert not raised.value.is_damage
    assert read("rare|odd|a", ["a", "other"], "multi_label", relabel=relabel) == ["a", "other"]
    with pytest.raises(ParameterError, match=r"relabel.rare: there is no class called 'b'"):
        Labels("label", ["a", "other"], "single_label", relabel={"rare": "b"})


def test_a_list_of_0_and_1_is_read_in_the_order_of_the_classes():
    assert read("[0, 1, 1]", ["a", "b", "c"], "multi_label", is_one_hot=True) == ["b", "c"]
    assert read([0, 0, 1], ["a", "b", "c"], is_one_hot=True) == "c"
    for cell in ("[0, 1]", "[0, 2, 1]", "b"):
        with pytest.raises(BadSample, match="is no list of 3 times 0 or 1"):
            read(cell, ["a", "b", "c"], "multi_label", is_one_hot=True)


def test_a_row_without_a_label_is_left_out_but_not_damaged(tmp_path):
    rows = [{"id": f"k{i}", "a": i, "label": "" if i % 5 < 2 else "xy"[i % 2]} for i in range(60)]
    adapter = Adapter(
        tmp_path,
        classes=["x", "y"],
        task="single_label",
        file=write_table(tmp_path / "t.csv", rows).name,
        label="label",
        key="id",
        modalities={"a": {"columns": ["a"], "kind": "vector"}},
    )
    assert len(adapter.rejected) == 24
    assert not any(rejected.is_damage for rejected in adapter.rejected)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_and_a_modality_of_three_rows_are_in_every_split(seed):
    strata = [(number % 2 if number > 2 else 2, *(["scan"] if number % 7 == 3 else [])) for number in range(30)]
    drawn = splits.drawn(strata, [str(number) for number in range(30)], splits.DEFAULT_SHARES, seed)
    for stratum in (0, 1, 2, "scan"):
        assert {split for split, of_row in zip(drawn, strata, strict=True) if stratum in of_row} == set(SPLITS)


def test_a_file_that_does_not_exist_is_a_hole_where_the_user_says_so_and_is_counted(tmp_path):
    for number in range(0, 40, 2):
        (tmp_path / f"{number}.txt").write_text("words")
    rows = [{"id": f"k{i}", "note": f"{i}.txt", "a": i, "label": "xy"[i // 2 % 2]} for i in range(40)]
    options = {
        "file": write_table(tmp_path / "t.csv", rows).name,
        "label": "label",
        "key": "id",
        "modalities": {
            "note": {"column": "note", "kind": "text", "inline": False},
            "a": {"columns": ["a"], "kind": "vector"},
        },
    }
    adapter = Adapter(tmp_path, classes=["x", "y"], task="single_label", missing_files="hole", **options)
    made = [adapter.sample(split, i) for split, count in adapter.num_samples.items() for i in range(count)]
    assert len(made) == 40
    assert sum("note" in sample.modalities for sample in made) == 20
    assert sum(sample.dropped.get("note: its file does not exist", 0) for sample in made) == 20
    strict = Adapter(tmp_path, classes=["x", "y"], task="single_label", **options)
    with pytest.raises(BadSample, match="missing_files: hole"):
        [strict.sample(split, i) for split, count in strict.num_samples.items() for i in range(count)]
