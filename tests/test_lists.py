"""Rows of published lists: which are used, which are rejected and why, and how a missing split is drawn."""

from collections import Counter

import pytest

from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.layouts import lists
from umemma.sources.layouts.lists import Row


def row(key: str, split: str, label: int = 0, group: str | None = None) -> Row:
    return Row(key, split, label, group or key, f"/lists/{split}.txt:{label}")


def test_a_group_in_two_splits_stays_in_the_one_that_is_measured():
    kept, rejected = lists.once(
        [
            row("a", "train"),
            row("a", "val", 1),
            row("b", "test"),
            row("b", "val"),
            row("c1", "train", group="c"),
            row("c2", "test", group="c"),
            row("d", "train"),
        ]
    )
    assert [(listed.key, listed.split) for listed in kept] == [
        ("a", "val"),
        ("b", "test"),
        ("c2", "test"),
        ("d", "train"),
    ]
    assert [(listed.key, listed.split, listed.reason) for listed in rejected] == [
        ("a", "train", "also in val (val.txt:1)"),
        ("b", "val", "also in test (test.txt:0)"),
        ("c1", "train", "also in test (test.txt:0)"),
    ]


@pytest.mark.parametrize(("keep", "label"), [("first", 1), ("last", 3)])
def test_of_a_key_twice_in_a_split_the_chosen_row_stays(keep, label):
    rows = [row("a", "train", 1), row("b", "train"), row("a", "train", 2), row("a", "train", 3)]
    kept, rejected = lists.once(rows, keep=keep)
    assert {listed.key: listed.label for listed in kept} == {"a": label, "b": 0}
    assert [listed.reason for listed in rejected] == [f"listed twice; train.txt:{label} counts (the {keep})"] * 2


@pytest.mark.parametrize("keep", ["first", "last"])
def test_a_training_row_never_replaces_the_label_of_a_test_row(keep):
    kept, _ = lists.once([row("a", "train", 1), row("a", "test", 2), row("a", "train", 3)], keep=keep)
    assert [(listed.split, listed.label) for listed in kept] == [("test", 2)]


def test_an_unknown_choice_of_rows_is_named():
    with pytest.raises(ParameterError, match=r"repeated is 'first' or 'last', not 'both'"):
        lists.once([], keep="both")


def test_validation_is_drawn_by_class_from_training_alone_whatever_the_order():
    rows = [row(f"{label}-{number}", "train", label) for label in range(4) for number in range(40)]
    rows += [row(f"t-{number}", "test") for number in range(10)]
    drawn = lists.held_out(rows, share=0.25, seed=1)
    assert Counter((listed.split, listed.label) for listed in drawn) == {
        **{("train", label): 30 for label in range(4)},
        **{("val", label): 10 for label in range(4)},
        ("test", 0): 10,
    }
    turned = lists.held_out(rows[::-1], share=0.25, seed=1)
    assert {listed.key: listed.split for listed in turned} == {listed.key: listed.split for listed in drawn}
    assert {listed.key: listed.split for listed in lists.held_out(rows, share=0.25, seed=2)} != {
        listed.key: listed.split for listed in drawn
    }
    assert [listed.key for listed in drawn] == [listed.key for listed in rows]


def test_rows_of_one_group_are_drawn_together():
    rows = [row(f"{number}-{part}", "train", group=str(number)) for number in range(20) for part in range(3)]
    drawn = lists.held_out(rows, share=0.3, seed=0)
    assert Counter(listed.split for listed in drawn) == {"train": 42, "val": 18}
    assert (
        max(Counter(member.group for member in {(row.group, row.split): row for row in drawn}.values()).values()) == 1
    )


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_leaves_a_split_empty_is_named(share):
    with pytest.raises(ParameterError, match=rf"val_share must lie between 0 and 1, not {share}"):
        lists.held_out([row("a", "train")], share=share, seed=0)


def test_lines_are_numbered_without_byte_order_mark_blank_lines_or_line_ends(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\r\n \nb")
    assert lists.lines(path) == [(f"{path}:1", "a"), (f"{path}:4", "b")]


def test_a_list_that_is_missing_or_no_utf_8_is_named(tmp_path):
    path = tmp_path / "list.txt"
    with pytest.raises(DataError, match=r"list\.txt cannot be read: No such file"):
        lists.lines(path)
    path.write_bytes("汉字".encode("gb18030"))
    with pytest.raises(DataError, match=r"list\.txt is no UTF-8: byte 0 is 0xba"):
        lists.lines(path)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        (["a", "c"], r"; lacking b$"),
        (["a", "b", "c", "d"], r"; not of it d$"),
        (["a", "c", "e"], "lacking b and not of it e"),
        (["a", "b", "c", "a"], "one is repeated"),
    ],
)
def test_classes_that_are_not_those_of_the_data_set_are_named(classes, sentence):
    assert lists.in_order(["c", "a", "b"], "abc", "letters") == ("c", "a", "b")
    with pytest.raises(ParameterError, match=r"classes must be the 3 classes of letters, in any order.*" + sentence):
        lists.in_order(classes, "abc", "letters")


@pytest.mark.parametrize(("content", "sentence"), [("{", "is no valid JSON"), ("[]", "holds no mapping but a list")])
def test_a_json_list_that_is_none_is_named(tmp_path, content, sentence):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataError, match=rf"split\.json {sentence}"):
        lists.mapping(tmp_path / "split.json")


def test_no_sample_left_is_an_error_that_says_why():
    with pytest.raises(DataError, match="0 were left out; none is listed"):
        lists.by_split([], [])
    kept, rejected = lists.once([row("a", "train"), row("a", "train")])
    with pytest.raises(DataError, match=r"1 were left out; /lists/train\.txt:0: listed twice"):
        lists.by_split(kept[:0], rejected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS pointer.*git lfs pull"),
    ],
)
def test_a_file_that_a_list_names_and_that_is_not_there_is_a_bad_sample(tmp_path, content, reason):
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSample, match=reason) as caught:
        lists.named(path)
    assert caught.value.file == str(path)


def test_a_folder_is_found_below_the_root_or_is_the_root(tmp_path):
    (tmp_path / "small").mkdir()
    with pytest.raises(DataError, match=rf"neither {tmp_path}/small nor {tmp_path} holds a\.txt or b\.txt.*DATA"):
        lists.folder_with(tmp_path, "small", ["a.txt", "b.txt"])
    (tmp_path / "b.txt").touch()
    assert lists.folder_with(tmp_path, "small", ["a.txt", "b.txt"]) == tmp_path
    (tmp_path / "small/a.txt").touch()
    assert lists.folder_with(tmp_path, "small", ["a.txt", "b.txt"]) == tmp_path / "small"
