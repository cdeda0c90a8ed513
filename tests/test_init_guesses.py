"""Guesses of `umemma init`: each has a reason and a flag that undoes it, and none of them makes a run impossible."""

from collections import Counter

import numpy as np
import pytest

from tests.conftest import initiated
from tests.table_sample import png, write_table
from umemma.errors import DataError, ParameterError
from umemma.init.init import init
from umemma.init.proposal import Given
from umemma.init.telling import codes, tells


def table(folder, count=120, name="t.csv", **columns):
    """Write a table of three classes, a text, two numbers, and further columns by functions of the row and its class."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        c = int(rng.integers(3))
        row = {"id": f"r{i}", "note": f"some words about thing {i} here", "a_1": rng.normal() + c, "a_2": rng.normal()}
        rows.append(row | {"label": "abc"[c]} | {column: make(i, c) for column, make in columns.items()})
    return write_table(folder / name, rows)


def used(options):
    """Return the columns that are features."""
    entries = options["modalities"].values()
    return {column for entry in entries for column in (entry.get("columns") or [entry["column"]])}


LEAKS = {  # name: (cells, the reason that is said)
    "label_number": (lambda i, c: c, "the label once more"),
    "coarse": (lambda i, c: c // 2, "the label at another level: each class goes with one of its 2 values"),
    "finer": (lambda i, c: 5 * c + i % 5, "tells the label: each of its 15 values goes with one class"),
    "is_b": (lambda i, c: int(c == 1), "the label at another level"),
    "fold": (lambda i, c: i * 7 % 5, "the number of a fold; --group keeps each fold in one split"),
    "film_ID": (lambda i, c: i // 60, "an id; --group keeps what it names in one split"),
    "2_way_label": (lambda i, c: i // 3 % 2, "called as a label is"),
}


@pytest.mark.parametrize("column", LEAKS)
def test_a_column_that_tells_label_or_split_is_left_out_and_named_with_the_flag_that_keeps_it(tmp_path, home, column):
    make, reason = LEAKS[column]
    path = table(tmp_path, **{column: make})
    output, found = initiated(home, path)
    assert column not in used(found.dataset.options)
    assert f"{column} ({reason}" in output
    assert "--keep takes it" in output
    _, found = initiated(home, path, keep=[column])
    assert column in used(found.dataset.options)


def test_an_honest_feature_is_not_accused_however_good_it_is(tmp_path, home):
    rng = np.random.default_rng(1)
    path = table(
        tmp_path, grade=lambda i, c: c if rng.random() < 0.9 else int(rng.integers(3)), age=lambda i, c: 20 + i
    )
    output, found = initiated(home, path)
    assert {"grade", "a_1", "a_2"} <= used(found.dataset.options)
    assert "not used" not in output.replace("age (looks like a row number)", "").replace("  not used  \n", "")


def test_names_that_occur_once_tell_nothing():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200).tolist()
    assert tells(codes(range(200)), codes(label)) < 0.1
    assert tells(codes(label), codes(label)) == 1
    assert tells(codes(rng.permutation(200).tolist()), codes(range(200))) == 0


def test_of_whether_a_column_tells_another_an_independent_count_says_the_same():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        known, told = (
            [None if cell == 0 else f"w{cell}" for cell in rng.integers(0, rng.integers(3, 60), 90)] for _ in "ab"
        )
        if seed % 3 == 0:
            told = [cell if rng.random() < 0.7 else other for cell, other in zip(known, told, strict=True)]
        pairs = [(key, value) for key, value in zip(known, told, strict=True) if key is not None and value is not None]
        usual, num_usual = Counter(value for _, value in pairs).most_common(1)[0]
        num_right = 0
        for key in {key for key, _ in pairs}:
            values = Counter(value for other, value in pairs if other == key)
            best, second = ([count for _, count in values.most_common(2)] + [0])[:2]
            num_right += values[usual] if values.total() == 1 else best if best > second else 0
        expected = max(0.0, (num_right - num_usual) / (len(pairs) - num_usual))
        assert tells(codes(known), codes(told)) == expected


def test_a_group_that_cannot_be_cut_in_three_is_not_guessed_and_any_guess_can_be_undone(tmp_path, home):
    path = table(tmp_path, device=lambda i, c: ["iphone", "android"][i % 3 % 2])
    output, found = initiated(home, path)
    assert found.dataset.options["group"] is None
    assert "device is not taken: its 2 values cannot be cut in 3" in output
    path = table(tmp_path, patient=lambda i, c: f"p{i // 4}")
    output, found = initiated(home, path)
    assert found.dataset.options["group"] == "patient"
    assert "group     patient  (30 values in 120 rows; --group COLUMN | none)" in output
    for role in ("group", "key"):
        _, found = initiated(home, path, **{role: "none"})
        assert found.dataset.options[role] is None
    path = table(tmp_path, part=lambda i, c: ["train", "train", "val", "test"][i % 4])
    assert initiated(home, path)[1].dataset.options["split"] == "part"
    assert initiated(home, path, split="none")[1].dataset.options["split"] is None
    _, found = initiated(home, path, drop=["a_1"])
    assert "a_1" not in used(found.dataset.options)
    with pytest.raises(ParameterError, match="--drop: there is no column called 'a_3'"):
        initiated(home, path, drop=["a_3"])


def test_a_guessed_group_by_which_no_split_has_every_class_is_given_up_and_that_is_said(tmp_path, home):
    groups_of = {"a": (1, 2, 3), "b": (1, 2, 4), "c": (3, 4, 5)}  # 3 and 4 share a split, so c is in two at most
    rows = [
        {"id": f"r{i}", "note": f"some words about thing {i} here", "label": name, "speaker": f"S{groups[i // 3 % 3]}"}
        for i in range(180)
        for name, groups in [list(groups_of.items())[i % 3]]
    ]
    output, found = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert found.dataset.options["group"] is None
    assert "group     none  (speaker is not taken: splits by it lack classes (" in output
    assert "speaker (may say what must stay in one split; --group speaker keeps it there)" in output
    assert used(found.dataset.options) == {"note"}
    assert " has no c\n" not in output
    output, found = initiated(home, write_table(tmp_path / "t.csv", rows), group="speaker")
    assert found.dataset.options["group"] == "speaker"
    assert "has no" in output


def test_ids_that_several_rows_share_are_a_group(tmp_path, home):
    output, found = initiated(home, table(tmp_path, lesion_id=lambda i, c: f"HAM_{i // 2}"))
    assert found.dataset.options["group"] == "lesion_id"
    assert "60 ids in 120 rows" in output


def test_a_group_that_the_tables_own_splits_cut_is_not_guessed(tmp_path, home):
    part = ["train", "train", "val", "test"]
    inside = table(tmp_path, part=lambda i, c: part[i % 4], patient=lambda i, c: f"p{i % 4}-{i // 12}")
    assert initiated(home, inside)[1].dataset.options["group"] == "patient"
    across = table(tmp_path, part=lambda i, c: part[i % 4], patient=lambda i, c: f"p{i // 4}")
    output, found = initiated(home, across)
    assert found.dataset.options["group"] is None
    assert "patient is not taken: 30 of its 30 values are in more than one split of part" in output
    assert initiated(home, across, split="none")[1].dataset.options["group"] == "patient"


@pytest.mark.parametrize(
    "measured",
    [lambda i: f"{61 + i * 7 % 120}.5 kg", lambda i: str(np.datetime64("2021-02-03") + 3 * i)],
    ids=["a number with a unit", "a date"],
)
def test_what_is_measured_is_no_key_although_it_differs_in_every_row(tmp_path, home, measured):
    path = table(tmp_path, measured=lambda i, c: measured(i), code=lambda i, c: f"x-{i}")
    _, found = initiated(home, path, drop=["id", "code"])
    assert found.dataset.options["key"] is None
    assert "measured" in used(found.dataset.options)
    assert initiated(home, path, drop=["id"])[1].dataset.options["key"] == "code"


COUNTERS = {  # name: (cells, whether they count the rows)
    "rising": (lambda i: 3 * i * i + 7, True),
    "falling": (lambda i: -i, True),
    "shuffled": (lambda i: 1000 + i * 7 % 120, True),
    "steps walked": (lambda i: 1000 + i * 77 % 120 * 31, False),
}


@pytest.mark.parametrize("cells", COUNTERS)
def test_whole_numbers_that_differ_in_every_row_are_a_row_number_only_if_they_count(tmp_path, home, cells):
    make, counts = COUNTERS[cells]
    output, found = initiated(home, table(tmp_path, number=lambda i, c: make(i)))
    assert ("number" not in used(found.dataset.options)) == counts
    assert ("number (looks like a row number)" in output) == counts


def test_a_modality_whose_name_yaml_would_read_as_true_or_null_gets_another(tmp_path, home):
    words = {name: lambda i, c: f"other words on thing {i} there" for name in ("yes_", "Null", "off")}
    _, found = initiated(home, table(tmp_path, **words))
    entries = found.dataset.options["modalities"]
    assert {name: entries[f"m_{name.strip('_').lower()}"]["column"] for name in words} == {name: name for name in words}


def test_a_quantity_is_no_label_and_a_sentence_says_what_to_do(tmp_path, home):
    rng = np.random.default_rng(0)
    path = table(tmp_path, score=lambda i, c: round(rng.normal(), 4), y=lambda i, c: rng.normal())
    assert initiated(home, path)[1].dataset.options["label"] == "label"
    with pytest.raises(
        DataError, match=r"score holds 120 different numbers in 120 rows: to predict a quantity is regres"
    ):
        initiated(home, path, label=["score"])
    axes = table(
        tmp_path, x=lambda i, c: i % 7, y=lambda i, c: i % 5, z=lambda i, c: i % 3, kind=lambda i, c: "uv"[i % 2]
    )
    assert initiated(home, axes, drop=["label"])[1].dataset.options["label"] == "kind"


@pytest.mark.parametrize("word", ["none", "NA"])
def test_a_word_for_a_hole_is_a_class_unless_the_table_uses_it_for_holes(tmp_path, home, word):
    path = table(tmp_path, label=lambda i, c: ["EU", "AS", word][c])
    output, found = initiated(home, path)
    assert word in found.dataset.classes
    assert f"rows say {word!r}: taken for a class; --missing {word.lower()} would make it no label" in output
    assert word not in initiated(home, path, missing=[word])[1].dataset.classes
    path = table(tmp_path, label=lambda i, c: ["EU", "AS", word][c], b=lambda i, c: word if i % 5 == 0 else i % 9)
    output, found = initiated(home, path)
    assert found.dataset.classes == ["AS", "EU"]
    assert f"rows say {word!r}: taken for no label, as in b" in output


def test_spellings_of_a_class_are_merged_said_and_can_be_kept_apart(tmp_path, home):
    path = table(tmp_path, label=lambda i, c: [["cat", "Cat", "CAT "], ["dog"], ["1.0", "1"]][c][i % [3, 1, 2][c]])
    output, found = initiated(home, path)
    assert sorted(map(str.casefold, found.dataset.classes)) == ["1", "cat", "dog"]
    assert found.dataset.options["spellings"] == "case"
    assert "one class each; --spellings form keeps them apart" in output
    assert len(initiated(home, path, spellings="form")[1].dataset.classes) == 5
    assert len(initiated(home, path, spellings="exact")[1].dataset.classes) == 6
    letters = table(tmp_path, label=lambda i, c: "aAb"[c])
    output, found = initiated(home, letters)
    assert found.dataset.classes == ["A", "a", "b"]
    assert "are classes of their own; --spellings case makes one of each" in output


def test_a_class_of_one_row_is_left_out_or_merged_and_twelve_rows_are_refused_with_the_number_that_would_do(
    tmp_path, home
):
    path = table(tmp_path, label=lambda i, c: "odd" if i == 7 else "rare" if 50 < i < 55 and i % 2 else "ab"[i % 2])
    output, found = initiated(home, path)
    assert found.dataset.options["relabel"] == {"odd": None, "rare": None}
    assert "classes of fewer than 4 rows are left out, 3 rows: odd (1), rare (2); --rare other merges them" in output
    path = table(
        tmp_path, label=lambda i, c: "odd" if i % 40 == 7 else "rare" if 50 < i < 55 and i % 2 else "ab"[i % 2]
    )
    assert initiated(home, path, rare="other")[1].dataset.classes == ["a", "b", "other"]
    kept = initiated(home, path, rare="keep")[1]
    assert "rare" in kept.dataset.classes
    assert kept.validation.severity.classes_in_every_split == "warn"
    with pytest.raises(DataError, match=r"12 rows with a label are too few .*; 24 would do for its 3 classes"):
        initiated(home, table(tmp_path, 12))


def test_presence_that_tells_the_label_is_the_first_thing_said(tmp_path, home):
    rng = np.random.default_rng(0)
    for i in range(120):
        (tmp_path / f"{i}.png").write_bytes(png(np.random.default_rng(i), side_px=8))
    path = table(tmp_path, scan=lambda i, c: f"{i}.png" if rng.random() < [0.05, 0.5, 0.95][c] else "")
    output, _ = initiated(home, path)
    lines = output.splitlines()
    assert lines[1] == "Look at this first:"
    assert lines[2].startswith("  - whether a modality is there tells the label: scan (Cramer's V 0.")


def test_a_modality_that_a_split_lacks_is_left_out_with_the_reason(tmp_path, home):
    part = ["train", "train", "val", "test"]
    path = table(
        tmp_path,
        part=lambda i, c: part[i % 4],
        gps_x=lambda i, c: i / 7 if i % 4 < 2 else "",
        gps_y=lambda i, c: i / 3 if i % 4 < 2 else "",
    )
    output, found = initiated(home, path)
    assert "gps" not in found.dataset.options["modalities"]
    assert "gps (no row of val and test has it" in output


@pytest.mark.parametrize("name", ["2021", "null", "true", "1e5", "nan"])
def test_a_name_that_hydra_would_read_as_something_else_is_refused_with_one_that_would_do(tmp_path, home, name):
    path = table(tmp_path)
    with pytest.raises(ParameterError, match=rf"--name data_{name} would do"):
        init(path, path.parent, name, Given(), home=home)


@pytest.mark.parametrize("named", [False, True])
def test_a_label_for_which_little_speaks_is_said_first_with_the_others(tmp_path, home, named):
    """Of sex and ward, neither is called a label; who names one is not asked."""
    rng = np.random.default_rng(0)
    cells = [
        {"heart_rate": f"{rng.normal():.4f}", "ward": "abcd"[rng.integers(4)], "sex": "mf"[rng.integers(2)]}
        for _ in range(200)
    ]
    path = write_table(tmp_path / "t.csv", cells)
    output, _ = initiated(home, path, label=["sex"] if named else ())
    doubt = "no column is called a label: sex is taken, as it has the fewest different values; ward would do as well: --label COLUMN"
    assert (doubt in output) == (not named)
    if not named:
        assert output.index("Look at this first:") < output.index(doubt) < output.index("Guessed:")


def test_numbers_with_a_few_holes_in_words_are_no_likely_group(tmp_path, home):
    path = table(tmp_path, dose=lambda i, c: "?" if i % 20 == 0 else i // 3, nurse=lambda i, c: f"n{i * 7 % 40}")
    output, _ = initiated(home, path)
    assert "is it nurse?" in output


def test_sizes_are_counted_as_people_do(tmp_path, home):
    output, _ = initiated(home, table(tmp_path), drop=["a_2", "note"])
    assert "1 number\n" in output
