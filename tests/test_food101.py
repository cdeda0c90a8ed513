"""Food-101 from its titles or its split, with titles, photographs and rows missing or wrong."""

import csv
import json
import shutil
from collections import Counter

import pytest

from tests import trees
from tests.trees import food_rows, needs_genuine
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.food101 import CLASSES, Adapter

pytestmark = needs_genuine


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dishes")
    trees.food101(folder / "food101")
    return folder


@pytest.fixture
def root(built, tmp_path):
    return shutil.copytree(built, tmp_path / "dishes")


def write(root, split, rows):
    with (root / f"food101/texts/{split}_titles.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def keys(adapter):
    return {adapter.sample(split, i).key: split for split, count in adapter.num_samples.items() for i in range(count)}


def test_the_published_split_has_the_published_counts_and_classes(tmp_path):
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "images/test").mkdir()
    names = json.loads(trees.genuine("food101_split.json"))
    (tmp_path / "split.json").write_text(json.dumps(names))
    (tmp_path / "text.json").write_text(json.dumps({name: "Title" for listed in names.values() for name in listed}))
    order = json.loads(trees.genuine("food101_class_idx.json"))
    adapter = Adapter(tmp_path, layout="split", classes=sorted(order, key=order.get))
    assert adapter.num_samples == {"train": 61_142, "val": 6_846, "test": 22_716}
    assert adapter.classes[:3] == ("frozen_yogurt", "tacos", "gnocchi")
    assert sorted(adapter.classes) == sorted(CLASSES) == list(CLASSES)
    assert not adapter.rejected
    assert adapter.sample("train", 0).label == 0
    assert adapter.sample("train", 0).members == {"text.txt": b"Title"}


def test_a_sample_has_its_photograph_its_title_and_its_class(built):
    adapter = Adapter(built)
    assert adapter.num_samples == {"train": 505, "val": 101, "test": 101}
    sample = adapter.sample("test", 4)
    name, title, dish = food_rows(built / "food101", "test")[4]
    assert (f"{sample.key}.jpg", adapter.classes[sample.label]) == (name, dish)
    assert sample.members["text.txt"].decode() == title
    assert sample.members["image.jpg"] == (built / f"food101/images/test/{dish}/{name}").read_bytes()


def test_both_kinds_of_lists_give_the_same_samples_but_for_who_draws_validation(built):
    titles, split = Adapter(built), Adapter(built, layout="split")
    assert keys(titles).keys() == keys(split).keys()
    assert {key for key, part in keys(titles).items() if part == "test"} == {
        key for key, part in keys(split).items() if part == "test"
    }
    assert split.num_samples == {"train": 505, "val": 101, "test": 101}
    assert Counter(titles.sample("val", i).label for i in range(101)) == dict.fromkeys(range(101), 1)
    for i in range(20):
        assert titles.sample("test", i) == split.sample("test", i)


def test_a_header_is_known_and_says_the_order_of_the_columns(built, root):
    for split in ("train", "test"):
        rows = food_rows(root / "food101", split)
        write(
            root,
            split,
            [
                ("label", "Image_path", "text"),
                *((dish, f"images/{split}/{dish}/{name}", title) for name, title, dish in rows),
            ],
        )
    assert [Adapter(root).sample("test", i) for i in range(5)] == [Adapter(built).sample("test", i) for i in range(5)]
    assert not Adapter(root).rejected


def test_a_missing_title_or_photograph_is_kept_as_missing_or_left_out_and_neither_is_always_left_out(root):
    rows = food_rows(root / "food101", "test")
    places = [root / f"food101/images/test/{dish}/{name}" for name, _, dish in rows]
    places[0].unlink()
    places[2].unlink()
    rows[1][1], rows[2][1] = "  ", ""
    unlisted = rows.pop(50)[0].removesuffix(".jpg")
    write(root, "test", rows)
    lenient = Adapter(root)
    assert lenient.num_samples["test"] == 100
    assert [list(lenient.sample("test", i).members) for i in (0, 1, 99)] == [["text.txt"], ["image.jpg"], ["image.jpg"]]
    assert lenient.sample("test", 99).key == unlisted
    assert [row.reason for row in lenient.rejected] == ["has no title and no photograph"]
    strict = Adapter(root, incomplete="reject")
    assert strict.num_samples["test"] == 97
    assert [row.reason for row in strict.rejected] == [
        "has no photograph",
        "has no title",
        "has no title and no photograph",
    ]
    assert strict.rejected[1].file.endswith("test_titles.csv:2")


def test_names_without_a_title_in_text_json_lack_it(root):
    texts = json.loads((root / "food101/text.json").read_text())
    names = json.loads((root / "food101/split.json").read_text())["val"]
    del texts[names[0]]
    texts[names[1]], texts[names[2]] = ["In a list", "of two"], None
    (root / "food101/text.json").write_text(json.dumps(texts))
    adapter = Adapter(root, layout="split")
    assert "text.txt" not in adapter.sample("val", 0).members
    assert adapter.sample("val", 1).members["text.txt"] == b"In a list of two"
    assert len(Adapter(root, layout="split", incomplete="reject").rejected) == 2


def test_a_row_of_another_class_a_repeated_name_and_a_strange_name_are_left_out(root):
    rows = food_rows(root / "food101", "test")
    train = food_rows(root / "food101", "train")
    rows[0][2] = "waffles"
    rows += [
        [rows[1][0], "Another title", rows[1][2]],
        ["photo.png", "Title", "waffles"],
        ["unknown_dish_1.jpg", "Title", "unknown_dish"],
    ]
    write(root, "train", [*train, rows[2]])
    write(root, "test", rows)
    (root / "food101/images/train" / rows[3][2] / "Copy of it.jpg").write_bytes(b"x")
    adapter = Adapter(root)
    assert adapter.num_samples["test"] == 100
    assert [(row.split, row.reason.split(";")[0]) for row in adapter.rejected] == [
        ("test", f"the row's class is waffles, its image's {rows[0][0].rpartition('_')[0]}"),
        *[(split, "is no <class>_<number>.jpg of a class of Food-101") for split in ("test", "test", "train")],
        ("train", "also in test (test_titles.csv:3)"),
        ("test", "listed twice"),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a.jpg;title;waffles\n", r"test_titles\.csv:1: 1 columns, not image, title and class"),
        ("a.jpg,title,waffles\nb.jpg,a title, with a comma,waffles\n", r"csv:2: 4 columns"),
        ('a.jpg,"open,waffles\n', r"csv:1: unexpected end of data"),
        ('a.jpg,"a "quoted" word",waffles\n', r"csv:1: .* expected after"),
        (b"a.jpg,\xff,waffles\n", "is no UTF-8: byte 6 is 0xff"),
    ],
)
def test_a_list_of_titles_that_cannot_be_understood_is_named_with_its_line(root, text, sentence):
    (root / "food101/texts/test_titles.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=sentence):
        Adapter(root)


def test_an_empty_photograph_is_a_bad_sample(root):
    name, _, dish = food_rows(root / "food101", "test")[0]
    (root / f"food101/images/test/{dish}/{name}").write_bytes(b"")
    with pytest.raises(BadSample, match="is empty"):
        Adapter(root).sample("test", 0)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("split.json", '{"train": [], "test": []}', "holds train, test, not train, val and test"),
        ("text.json", "[]", r"text\.json holds no mapping but a list"),
    ],
)
def test_a_json_list_of_something_else_is_named(root, name, content, sentence):
    (root / "food101" / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        Adapter(root, layout="split")


def test_missing_folders_and_lists_are_named(root):
    shutil.rmtree(root / "food101/images/test")
    with pytest.raises(DataError, match=r"images/test is no folder; photographs must be in images/train/<class>/"):
        Adapter(root)
    (root / "food101/text.json").unlink()
    with pytest.raises(DataError, match=r"text\.json cannot be read"):
        Adapter(root, layout="split")
    with pytest.raises(DataError, match=r"holds texts/train_titles\.csv"):
        Adapter(root / "nowhere")


@pytest.mark.parametrize("option", ["layout", "incomplete"])
def test_an_option_that_is_none_is_named_with_the_choices(built, option):
    with pytest.raises(ParameterError, match=rf"dataset\.options\.{option}: there is no choice called 'titels'"):
        Adapter(built, **{option: "titels"})
