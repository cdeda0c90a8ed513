"""The table adapter: the same samples from every file format; missing values, keys, splits, labels and files survive."""

import io
import tempfile
import unicodedata
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.table_sample import FORMATS, adapter, plain_rows, png, samples, series, wav, write_table
from umemma.data.sample import SPLITS, BadSample
from umemma.errors import ParameterError
from umemma.media.kinds import text
from umemma.sources.adapters.table import Adapter
from umemma.sources.tables import cells, splits

NUMBERS = {"columns": ["a", "b"], "kind": "vector"}
TEXT = {"column": "note", "kind": "text"}
WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda word: not cells.is_missing(word)
)


def vector(content: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(content))


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, object]]:
    """Rows with unique keys; every split occurs, any value may be missing, but never all of a row."""
    keys = draw(st.lists(WORDS.map(str.strip), min_size=3, max_size=8, unique=True))
    rows = []
    for number, key in enumerate(keys):
        has_text, has_vector = draw(st.sampled_from([(True, True), (True, False), (False, True)]))
        values = draw(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2)) if has_vector else (None, None)
        rows.append(
            {
                "id": key,
                "split": draw(st.sampled_from(["train", "val", "test"]))
                if number > 2
                else ("train", "val", "test")[number],
                "label": draw(st.sampled_from(["cat", "dog"])),
                "group": draw(st.one_of(st.none(), WORDS)),
                "note": draw(WORDS) if has_text else None,
                "a": values[0],
                "b": values[1],
            }
        )
    return rows


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_key_split_label_group_and_holes_survive_every_file_format(rows):
    with tempfile.TemporaryDirectory() as folder:
        by_format = {}
        for suffix in FORMATS:
            path = write_table(Path(folder) / f"t.{suffix}", rows)
            made = adapter(path, group="group", modalities={"note": TEXT, "numbers": NUMBERS})
            assert not made.rejected
            by_format[suffix] = samples(made)
    assert all(read_samples == by_format["csv"] for read_samples in by_format.values())
    by_key = {unquote(sample.key): sample for sample in by_format["csv"]}
    assert len(by_key) == len(rows)
    for row in rows:
        sample = by_key[row["id"]]
        assert (sample.split, sample.label) == (row["split"], ("cat", "dog").index(row["label"]))
        assert sample.group == (row["group"].strip() if row["group"] else f"(no group) {row['id']}")
        assert ("note.txt" in sample.members) == (row["note"] is not None)
        assert ("numbers.npy" in sample.members) == (row["a"] is not None)
        if row["note"] is not None:
            assert sample.members["note.txt"].decode() == row["note"]
        if row["a"] is not None:
            assert vector(sample.members["numbers.npy"]).tolist() == [row["a"], row["b"]]


@pytest.mark.parametrize(
    "key", ["img_001.jpg", "a/b.c", "100%", "%2E", "tab\tand\nline", "back\\slash", "日本", "no\u00a0break\u200b"]
)
def test_any_key_is_written_so_that_it_can_be_read_back(tmp_path, key):
    rows = plain_rows()
    rows[0]["id"] = key
    sample = adapter(write_table(tmp_path / "t.csv", rows)).sample("train", 0)
    assert not set("./") & set(sample.key)
    assert sample.key.isprintable()
    assert unquote(sample.key) == key


@pytest.mark.parametrize("spelling", ["", "  ", "NaN", "nan", "NULL", "None", "N/A", "<NA>"])
def test_a_missing_value_is_no_member_however_it_is_spelt(tmp_path, spelling):
    rows = plain_rows()
    rows[0] |= {"note": spelling, "a": 1.0, "b": 2.0}
    made = adapter(write_table(tmp_path / "t.csv", rows), modalities={"note": TEXT, "numbers": NUMBERS})
    assert list(made.sample("train", 0).members) == ["numbers.npy"]
    assert list(made.sample("train", 1).members) == ["note.txt"]


def test_what_missing_means_can_be_said_and_a_class_is_a_class_whatever_it_is_called(tmp_path):
    rows = plain_rows()
    for row in rows:
        row["label"] = {"cat": "None", "dog": "NA"}[row["label"]]
    rows[0]["note"], rows[3]["note"] = "null", "?"
    path = write_table(tmp_path / "t.csv", rows)
    assert [s.label for s in samples(adapter(path, classes=["None", "NA"]))] == [1, 1, 0, 0, 1]
    made = adapter(path, classes=["None", "NA"], missing=["?"])
    assert made.sample("train", 0).members["note.txt"] == b"null"
    assert [row.reason for row in made.rejected] == ["every modality is missing"]


def test_without_a_key_column_a_row_keeps_its_name_when_others_come_and_labels_are_corrected(tmp_path):
    rows = plain_rows(9)
    before = {s.members["note.txt"]: s.key for s in samples(adapter(write_table(tmp_path / "t.csv", rows), key=None))}
    rows[4]["label"] = "cat" if rows[4]["label"] == "dog" else "dog"
    rows.insert(0, {"id": "new", "split": "val", "label": "cat", "note": "new"})
    after = {s.members["note.txt"]: s.key for s in samples(adapter(write_table(tmp_path / "t.csv", rows), key=None))}
    assert before.items() <= after.items()
    assert len(set(after.values())) == 10


def test_equal_rows_without_a_key_are_told_apart_and_stay_in_one_split(tmp_path):
    rows = [{"label": ("cat", "dog")[i % 2], "note": f"note {i // 3}"} for i in range(60)]
    made = adapter(write_table(tmp_path / "t.csv", rows), key=None, split=None)
    read_samples = samples(made)
    assert len({s.key for s in read_samples}) == 60
    splits = {}
    for s in read_samples:
        splits.setdefault(s.members["note.txt"], set()).add(s.split)
    assert all(len(in_splits) == 1 for in_splits in splits.values())
    assert len({s.group for s in read_samples}) == 20


@pytest.mark.parametrize("options", [{}, {"group": "place"}, {"shares": {"val": 0.3}}])
def test_equal_rows_that_the_table_puts_in_two_splits_are_copies_and_no_group(tmp_path, options):
    splits_of = ("train", "train", "test" if "shares" in options else "val", "test")
    rows = [
        {"label": ("cat", "dog")[i % 2], "note": f"note {i // 4}", "split": splits_of[i % 4], "place": ""}
        for i in range(40)
    ]
    of_group, of_note = {}, {}
    for s in samples(adapter(write_table(tmp_path / "t.csv", rows), key=None, **options)):
        of_group.setdefault(s.group, set()).add(s.split)
        of_note.setdefault((s.members["note.txt"], s.split == "test"), set()).add(s.group)
    assert all(len(in_splits) == 1 for in_splits in of_group.values())
    if "shares" in options:
        assert all(len(groups) == 1 for groups in of_note.values())


@pytest.mark.parametrize(
    ("said", "meant"),
    [("Training", "train"), ("valid", "val"), ("VALIDATION", "val"), ("dev", "val"), ("testing", "test")],
)
def test_splits_may_be_called_what_they_are_often_called(tmp_path, said, meant):
    rows = plain_rows(9)
    rows[6]["split"] = said
    split_of = {s.key: s.split for s in samples(adapter(write_table(tmp_path / "t.csv", rows)))}
    assert split_of["k6"] == meant


def test_a_validation_split_is_drawn_from_train_where_the_table_has_none(tmp_path):
    rows = [
        row | {"split": "test" if i % 4 == 0 else "train", "g": f"g{i // 2}"} for i, row in enumerate(plain_rows(200))
    ]
    path = write_table(tmp_path / "t.csv", rows)
    made = adapter(path, shares={"val": 0.2}, group="g")
    assert made.num_samples == {"train": 120, "val": 30, "test": 50}
    assert {s.key for s in samples(made) if s.split == "test"} == {row["id"] for row in rows if row["split"] == "test"}
    with pytest.raises(ParameterError, match=r"shares\.test: the split column has test already"):
        adapter(path, shares={"test": 0.2})


@pytest.mark.parametrize(
    "shares",
    [{"train": 0.5, "val": 0.2, "test": 0.2}, {"val": 0.6, "test": 0.5}, {"dev": 0.1}, {"val": 0}, {"val": "a lot"}],
)
def test_shares_that_cannot_be_are_named(tmp_path, shares):
    path = write_table(tmp_path / "t.csv", plain_rows())
    with pytest.raises(ParameterError, match=r"dataset\.options\.shares"):
        adapter(path, split=None, shares=shares)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 40)), min_size=60, max_size=120
    ),
    st.integers(0, 9),
)
def test_a_drawn_split_cuts_no_group_depends_on_no_order_and_gives_shares(rows, seed):
    labels, groups = [sorted(classes) for classes, _ in rows], [f"g{group}" for _, group in rows]
    drawn = splits.drawn(labels, groups, {"train": 0.6, "val": 0.2, "test": 0.2}, seed)
    of_group = dict(zip(groups, drawn, strict=True))
    assert [of_group[group] for group in groups] == drawn
    back = splits.drawn(labels[::-1], groups[::-1], {"train": 0.6, "val": 0.2, "test": 0.2}, seed)
    assert back == drawn[::-1]
    largest = max(groups.count(group) for group in groups)
    for split, share in {"train": 0.6, "val": 0.2, "test": 0.2}.items():
        assert abs(drawn.count(split) - share * len(rows)) <= 2 * largest + 5


def test_a_drawn_split_shares_out_every_class_alike_and_another_seed_another_way():
    labels = [[0]] * 700 + [[1]] * 200 + [[2]] * 100
    groups = [str(i) for i in range(1000)]
    drawn = splits.drawn(labels, groups, splits.DEFAULT_SHARES, 0)
    for start, count in ((0, 700), (700, 200), (900, 100)):
        block = drawn[start : start + count]
        assert [block.count(split) / count for split in ("train", "val", "test")] == pytest.approx([0.7, 0.15, 0.15])
    assert splits.drawn(labels, groups, splits.DEFAULT_SHARES, 1) != drawn


@pytest.mark.parametrize("seed", range(5))
def test_few_large_groups_of_one_class_each_give_every_split_every_class(seed):
    labels = [[i // 80] for i in range(160)]
    drawn = splits.drawn(labels, [f"S{i // 20}" for i in range(160)], splits.DEFAULT_SHARES, seed)
    for label in (0, 1):
        assert {split for split, of_row in zip(drawn, labels, strict=True) if of_row == [label]} == set(SPLITS)


def test_a_class_with_one_sample_is_trained_on():
    drawn = splits.drawn([[0]] * 50 + [[1]], [str(i) for i in range(51)], splits.DEFAULT_SHARES, 3)
    assert drawn[50] == "train"


@pytest.mark.parametrize("suffix", FORMATS)
def test_several_labels_are_read_from_one_column_from_lists_and_from_columns_of_0_and_1(tmp_path, suffix):
    names = ("a", "b b", "c")
    truth = [(0,), (1, 2), (), (0, 2), (0, 1, 2), (1,)]
    rows = plain_rows()
    for row, label in zip(rows, truth, strict=True):
        row["label"] = " | ".join(names[index] for index in reversed(label))
        row |= {name: int(number in label) for number, name in enumerate(names)}
    path = write_table(tmp_path / f"t.{suffix}", rows)
    options = {"classes": names, "task": "multi_label"}
    joined = adapter(path, **options, unlabelled="none")
    assert {s.key: s.label for s in samples(joined)} == {f"k{i}": label for i, label in enumerate(truth)}
    columns = adapter(path, **options, label=["c", "a", "b b"])
    assert [s.label for s in samples(columns)] == [s.label for s in samples(joined)]
    left_out = adapter(path, **options)
    assert [(row.key, row.split) for row in left_out.rejected] == [("k2", "test")]
    if suffix in {"parquet", "jsonl"}:
        listed = [row | {"label": row["label"].split(" | ") if row["label"] else []} for row in rows]
        again = adapter(write_table(path, listed), **options, unlabelled="none")
        assert samples(again) == samples(joined)


def test_one_of_several_columns_may_be_the_label(tmp_path):
    rows = [row | {"cat": int(row["label"] == "cat"), "dog": int(row["label"] == "dog")} for row in plain_rows(7)]
    rows[6] |= {"cat": 1, "dog": 1}
    made = adapter(write_table(tmp_path / "t.csv", rows), label=["cat", "dog"])
    assert [s.label for s in samples(made)] == [
        s.label for s in samples(adapter(write_table(tmp_path / "u.csv", rows[:6])))
    ]
    assert [row.reason for row in made.rejected] == ["no single label: 2 of the label columns are 1"]


def test_numbers_are_the_same_labels_and_keys_from_text_and_from_numbers(tmp_path):
    rows = [row | {"id": i, "label": i % 2} for i, row in enumerate(plain_rows())]
    by_format = [
        samples(adapter(write_table(tmp_path / f"t.{suffix}", rows), classes=["0", "1"])) for suffix in FORMATS
    ]
    floats = write_table(tmp_path / "f.parquet", [row | {"label": float(row["label"])} for row in rows])
    assert all(
        read_samples == by_format[0] for read_samples in [*by_format, samples(adapter(floats, classes=["0", "1"]))]
    )


MEDIA = {"image": "x/pic.JPG", "audio": "y/one.wav", "text": "z.txt", "series": "m.npy", "vector": "v.npy"}


def test_files_are_passed_on_byte_for_byte_under_the_modalitys_name(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    (tmp_path / "x/pic.JPG").write_bytes(png(rng))  # the decoder and the gate check the content
    (tmp_path / "y/one.wav").write_bytes(wav(rng))
    (tmp_path / "z.txt").write_bytes("\ufeffGruß\r\n".encode())
    np.save(tmp_path / "m.npy", series(rng))
    np.save(tmp_path / "v.npy", np.arange(5.0))
    rows = [row | MEDIA for row in plain_rows()]
    modalities = {kind: {"column": kind, "kind": kind, "inline": False} for kind in MEDIA}
    sample = adapter(write_table(tmp_path / "t.csv", rows), modalities=modalities).sample("val", 1)
    expected = {
        f"{kind}.{name.rsplit('.')[-1].lower()}": (tmp_path / name).read_bytes() for kind, name in MEDIA.items()
    }
    expected["image.png"] = expected.pop("image.jpg")  # by its content
    assert sample.members == expected
    assert [name.split(".")[0] for name in sample.members] == list(MEDIA)


@pytest.mark.parametrize(
    ("content", "encoding", "expected"),
    [
        ("Gruß".encode("cp1252"), "cp1252", "Gruß"),
        ("多模态".encode("gb18030"), "gb18030", "多模态"),
        ("Gruß".encode("utf-16"), "cp1252", "Gruß"),
    ],
)
def test_texts_in_files_are_read_in_the_encoding_that_is_named_or_that_their_mark_says(
    tmp_path, content, encoding, expected
):
    (tmp_path / "a.txt").write_bytes(content)
    path = write_table(tmp_path / "t.csv", [row | {"note": "a.txt"} for row in plain_rows()])
    entry = TEXT | {"inline": False, "encoding": encoding}
    members = adapter(path, modalities={"note": entry}).sample("val", 0).members
    assert text.read(members["note.txt"]) == expected


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            TEXT | {"inline": False, "encoding": "klingon"},
            r"note\.encoding: no encoding is called 'klingon'; utf-8, gb18030",
        ),
        (TEXT | {"inline": False, "encoding": "base64"}, "no encoding is called 'base64'"),
        (TEXT | {"encoding": "cp1252"}, r"note\.encoding is for texts in files"),
    ],
)
def test_an_encoding_that_cannot_be_is_named(tmp_path, entry, sentence):
    with pytest.raises(ParameterError, match=sentence):
        adapter(write_table(tmp_path / "t.csv", plain_rows()), modalities={"note": entry})


def test_paths_start_at_the_tables_folder_or_at_media_root(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.txt").write_text("hello")
    path = write_table(tmp_path / "lists/t.csv", [row | {"note": "a.txt"} for row in plain_rows()])
    options = {
        "classes": ["cat", "dog"],
        "task": "single_label",
        "file": "lists/t.csv",
        "label": "label",
        "split": "split",
        "modalities": {"note": TEXT | {"inline": False}},
    }
    assert Adapter(tmp_path, **options, media_root="files").sample("val", 0).members == {"note.txt": b"hello"}
    write_table(path, [row | {"note": "../files/a.txt"} for row in plain_rows()])
    assert Adapter(tmp_path, **options).sample("val", 0).members == {"note.txt": b"hello"}, "inside the root after all"


def test_a_series_of_numbers_in_a_csv_file_becomes_an_array_of_steps_and_channels(tmp_path):
    values = series(np.random.default_rng(1), 5)
    lines = [",".join(f"{value:.9g}" for value in row) for row in values]
    (tmp_path / "plain.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "head.csv").write_bytes("\ufeffx,y,z\r\n".encode() + "\r\n".join(lines).encode())
    (tmp_path / "semi.csv").write_text("\n".join(lines).replace(",", ";"))
    (tmp_path / "tab.csv").write_text("\n".join(lines).replace(",", "\t"))
    np.save(tmp_path / "one.npy", values[:, 0])
    (tmp_path / "one.csv").write_text("\n".join(f"{value:.9g}" for value in values[:, 0]))
    for name in ("plain.csv", "head.csv", "semi.csv", "tab.csv", "one.npy", "one.csv"):
        rows = [row | {"m": name} for row in plain_rows()]
        made = adapter(write_table(tmp_path / "t.csv", rows), modalities={"m": {"column": "m", "kind": "series"}})
        array = vector(made.sample("test", 0).members["m.npy"])
        expected = values[:, :1] if name.startswith("one") else values
        np.testing.assert_array_equal(array, expected)


def test_holes_in_numbers_are_filled_where_a_number_is_given(tmp_path):
    (tmp_path / "m.csv").write_text("1,2\n,4\n\n")
    np.save(tmp_path / "m.npy", np.array([[1, 2], [np.nan, 4]]))
    rows = [row | {"a": 1.5, "b": None, "m": "m.csv", "n": "m.npy"} for row in plain_rows()]
    rows[1] |= {"a": None}
    modalities = {
        "numbers": NUMBERS | {"fill": -1},
        "m": {"column": "m", "kind": "series", "fill": 9},
        "n": {"column": "n", "kind": "series", "fill": 9.5},
    }
    made = adapter(write_table(tmp_path / "t.csv", rows), modalities=modalities)
    members = made.sample("train", 0).members
    assert vector(members["numbers.npy"]).tolist() == [1.5, -1]
    assert vector(members["m.npy"]).tolist() == [[1, 2], [9, 4]]
    assert vector(members["n.npy"]).tolist() == [[1, 2], [9.5, 4]]
    assert "numbers.npy" not in made.sample("val", 0).members, "nothing at all is missing, not filled"


def test_a_vector_of_which_some_numbers_are_missing_has_holes_that_are_not_measured(tmp_path):
    rows = [row | {"a": i, "b": None if i == 3 else 2.5} for i, row in enumerate(plain_rows())]
    made = adapter(write_table(tmp_path / "t.csv", rows), modalities={"numbers": NUMBERS})
    assert not made.rejected
    np.testing.assert_array_equal(vector(made.sample("train", 1).members["numbers.npy"]), np.float32([3, np.nan]))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_vector_is_made_of_numbers_words_and_times_in_every_format(tmp_path, suffix):
    rows = [
        row | {"weight": f"1.{i}00,5 kg", "sex": ("f", "m")[i % 2], "seen": f"2024-01-0{i + 1}"}
        for i, row in enumerate(plain_rows())
    ]
    rows[2] |= {"sex": None}
    rows[4] |= {"sex": "x", "weight": "heavy"}
    columns = {
        "weight": {"type": "number", "decimal": ",", "thousands": ".", "units": {"kg": 1}, "unreadable": "missing"},
        "sex": {"type": "category", "words": ["f", "m"]},
        "seen": {"type": "time", "since": "2024-01-01"},
    }
    made = adapter(
        write_table(tmp_path / f"t.{suffix}", rows),
        modalities={"person": {"columns": ["weight", "sex", "seen"], "kind": "vector"}},
        columns=columns,
    )
    assert vector(made.sample("train", 1).members["person.npy"]).tolist() == [1300.5, 0, 1, 0, 3]
    np.testing.assert_array_equal(
        vector(made.sample("test", 0).members["person.npy"]), np.float32([1200.5, np.nan, np.nan, np.nan, 2])
    )
    np.testing.assert_array_equal(vector(made.sample("val", 1).members["person.npy"]), np.float32([np.nan, 0, 0, 1, 4]))
    assert made.sample("val", 1).dropped == {"unreadable weight": 1, "a rare word in sex": 1}
    assert not made.sample("train", 1).dropped


@pytest.mark.parametrize(
    "written", ["[0, 128.0, 255, 7, 8, 9]", "0 128 255 7 8 9", "0,128,255,7,8,9", [0, 128, 255, 7, 8, 9]]
)
def test_numbers_in_a_cell_are_a_vector_or_the_pixels_of_a_picture(tmp_path, written):
    rows = [row | {"pixels": written} for row in plain_rows()]
    modalities = {
        "face": {"column": "pixels", "kind": "image", "shape": [2, 3]},
        "numbers": {"column": "pixels", "kind": "vector"},
    }
    path = write_table(tmp_path / ("t.csv" if isinstance(written, str) else "t.parquet"), rows)
    members = adapter(path, modalities=modalities, columns={"pixels": {"type": "list"}}).sample("val", 0).members
    assert np.asarray(Image.open(io.BytesIO(members["face.png"]))).tolist() == [[0, 128, 255], [7, 8, 9]]
    assert vector(members["numbers.npy"]).tolist() == [0, 128, 255, 7, 8, 9]
    modalities["face"]["shape"] = [2, 2]
    with pytest.raises(BadSample, match=r"6 pixels are no image of 2 x 2; .*face\.shape gives"):
        adapter(path, modalities=modalities, columns={"pixels": {"type": "list"}}).sample("val", 0)


@pytest.mark.parametrize("suffix", FORMATS)
def test_objects_in_cells_are_columns_native_or_written_as_text(tmp_path, suffix):
    rows = [
        row | {"note": {"text": f"a note {i}", "size": {"w": i, "h": 2.5}} if i != 3 else None}
        for i, row in enumerate(plain_rows())
    ]
    path = write_table(tmp_path / f"t.{suffix}", rows)
    modalities = {
        "note": {"column": "note.text", "kind": "text"},
        "size": {"columns": ["note.size.w", "note.size.h"], "kind": "vector"},
        "lead": {"column": "label", "kind": "text"},
    }
    columns = {} if suffix in {"parquet", "jsonl"} else {"note": {"type": "object"}}
    made = adapter(path, modalities=modalities, columns=columns)
    members = made.sample("val", 1).members
    assert members["note.txt"] == b"a note 4"
    assert vector(members["size.npy"]).tolist() == [4, 2.5]
    assert list(made.sample("train", 1).members) == ["lead.txt"]
    with pytest.raises(ParameterError, match=r"no column of .* called 'note\.txt'.*Did you mean 'note\.text'"):
        adapter(path, modalities={"n": {"column": "note.txt", "kind": "text"}}, columns=columns)


def test_times_decimals_and_durations_of_parquet_are_what_a_csv_would_say(tmp_path):
    moment = datetime(2024, 5, 31, 13, 45, tzinfo=timezone(timedelta(hours=2)))
    native = {
        "seen": moment,
        "day": moment.date(),
        "at": time(13, 45),
        "cost": Decimal("1.50"),
        "took": timedelta(minutes=1),
    }
    plain = {"seen": "2024-05-31T11:45:00+00:00", "day": "2024-05-31", "at": "13:45:00", "cost": 1.5, "took": 60.0}
    columns = {"seen": {"type": "time"}, "day": {"type": "time"}, "at": {"type": "time", "parts": ["time_of_day"]}}
    modalities = {"all": {"columns": list(native), "kind": "vector"}}
    read = [
        samples(
            adapter(
                write_table(tmp_path / name, [row | cells for row in plain_rows()]),
                modalities=modalities,
                columns=columns,
            )
        )
        for name, cells in (("t.parquet", native), ("t.csv", plain))
    ]
    assert read[0] == read[1]
    assert vector(read[0][0].members["all.npy"])[[1, 4, 5]].tolist() == [19874, 1.5, 60]


def test_pictures_inside_a_parquet_file_are_members_by_their_content(tmp_path):
    picture = png(np.random.default_rng(0))
    (tmp_path / "beside.png").write_bytes(picture)
    rows = [
        row | {"image": {"bytes": picture, "path": f"{i}.jpg"}, "plain": picture} for i, row in enumerate(plain_rows())
    ]
    rows[3]["image"] = {"bytes": None, "path": "beside.png"}
    rows[1]["image"] = None
    rows[2]["plain"] = b"%PDF-1.7"
    modalities = {name: {"column": name, "kind": "image"} for name in ("image", "plain")}
    made = adapter(write_table(tmp_path / "t.parquet", rows), modalities=modalities)
    assert made.sample("train", 0).members == {"image.png": picture, "plain.png": picture}
    assert made.sample("train", 1).members == {"image.png": picture, "plain.png": picture}
    assert list(made.sample("val", 0).members) == ["plain.png"]
    with pytest.raises(BadSample, match=r"t\.parquet row 3, plain: is not an image but really a PDF document"):
        made.sample("test", 0)
    assert [path.name for path in made.inputs()] == ["beside.png"]


@pytest.mark.parametrize(
    ("cells", "path", "file"),
    [
        ({"pic": "ISIC_1"}, "photos/{}.txt", "photos/ISIC_1.txt"),
        ({"pic": "ISIC_2"}, ["photos/{}.txt", "more/{}.txt"], "more/ISIC_2.txt"),
        ({"pic": "7"}, "{split}/{label}/{:0>3}.txt", "train/cat/007.txt"),
        ({"pic": "https://example.org/a%20b.txt?size=2"}, "photos/{:name}", "photos/a b.txt"),
        ({"pic": r"C:\photos\one.jpg"}, "{:stem}.txt", "one.txt"),
    ],
)
def test_a_path_is_built_from_the_cells_of_a_row(tmp_path, cells, path, file):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("found")
    rows = [row | cells for row in plain_rows()]
    entry = {"column": "pic", "kind": "text", "inline": False, "path": path}
    made = adapter(write_table(tmp_path / "t.csv", rows), modalities={"pic": entry})
    sample = made.sample("train", 0)
    assert sample.members == {"pic.txt": b"found"}
    assert sample.files == {"pic.txt": file}
    assert tmp_path / file in set(made.inputs())


@pytest.mark.parametrize(
    "written",
    [
        "./img/Bild 1.txt",
        "~/img/Bild 1.txt",
        "file:///img/Bild%201.txt",
        "img/Bild%201%2Etxt",
        r"img\Bild 1.txt",
        " img/Bild 1.txt ",
        "IMG/bild 1.TXT",
        r"D:\data\img\Bild 1.txt",
        "/home/me/data/img/Bild 1.txt",
        "https://example.org/img/Bild%201.txt?size=large",
    ],
)
def test_a_path_that_was_written_elsewhere_is_matched_where_that_is_asked_for(tmp_path, written):
    (tmp_path / "img").mkdir()
    (tmp_path / "img/Bild 1.txt").write_text("found")
    path = write_table(tmp_path / "t.csv", [row | {"pic": written} for row in plain_rows()])
    entry = {"column": "pic", "kind": "text", "inline": False, "match": "loose"}
    assert adapter(path, modalities={"pic": entry}).sample("val", 0).members == {"pic.txt": b"found"}


def test_letters_that_a_mac_composes_in_another_way_match_and_two_files_that_differ_in_case_do_not(tmp_path):
    (tmp_path / unicodedata.normalize("NFD", "é.txt")).write_text("found")
    for name in ("A.txt", "a.txt"):
        (tmp_path / name).write_text(name)
    rows = [row | {"pic": name} for row, name in zip(plain_rows(), ["é.txt", "a.txt", "á.txt"] * 2, strict=True)]
    rows[2]["pic"] = "./A.TXT"
    entry = {"column": "pic", "kind": "text", "inline": False, "match": "loose"}
    made = adapter(write_table(tmp_path / "t.csv", rows), modalities={"pic": entry})
    assert made.sample("train", 0).members == {"pic.txt": b"found"}
    assert made.sample("val", 0).members == {"pic.txt": b"a.txt"}
    with pytest.raises(BadSample, match=r"could be any of A\.txt, a\.txt, which differ in case alone"):
        made.sample("test", 0)


def test_one_column_of_numbers_is_a_vector_of_one(tmp_path):
    rows = [row | {"age": i + 0.5} for i, row in enumerate(plain_rows())]
    made = adapter(write_table(tmp_path / "t.csv", rows), modalities={"age": {"columns": ["age"], "kind": "vector"}})
    assert vector(made.sample("val", 0).members["age.npy"]).tolist() == [1.5]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_list_in_a_cell_is_a_vector(tmp_path, suffix):
    rows = [row | {"e": [0.5, 1.0, i]} for i, row in enumerate(plain_rows())]
    rows[1]["e"] = None
    made = adapter(
        write_table(tmp_path / f"t.{suffix}", rows), modalities={"e": {"column": "e", "kind": "vector"}, "note": TEXT}
    )
    assert vector(made.sample("train", 1).members["e.npy"]).tolist() == [0.5, 1.0, 3]
    assert list(made.sample("val", 0).members) == ["note.txt"]


def test_links_and_absolute_paths_are_followed_below_the_root_and_below_other_roots_that_are_named(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    (other / "a.txt").write_text("other")
    (root / "b.txt").write_text("own")
    (root / "link.txt").symlink_to(root / "b.txt")
    (root / "away").symlink_to(other)
    rows = [
        row | {"note": name}
        for row, name in zip(
            plain_rows(),
            ["link.txt", str(root / "b.txt"), "away/a.txt", str(other / "a.txt"), "b.txt", "b.txt"],
            strict=True,
        )
    ]
    made = adapter(
        write_table(root / "t.csv", rows), modalities={"note": TEXT | {"inline": False}}, other_roots=[str(other)]
    )
    texts = {s.key: s.members["note.txt"] for s in samples(made)}
    assert [texts[f"k{i}"] for i in range(4)] == [b"own", b"own", b"other", b"other"]


def test_a_root_that_is_itself_a_link_is_the_users_choice(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/a.txt").write_text("x")
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    path = write_table(tmp_path / "disk/t.csv", [row | {"note": "a.txt"} for row in plain_rows()])
    made = adapter(tmp_path / "data" / path.name, modalities={"note": TEXT | {"inline": False}})
    assert made.sample("val", 0).members == {"note.txt": b"x"}
