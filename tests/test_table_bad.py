"""A malformed table raises an error that says where; a bad row or file is rejected with its reason."""

import gzip
import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.table_sample import adapter, plain_rows, png, samples, wav, write_table
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.table import Adapter

GOOD = "id,split,label,note\na,train,cat,one\nb,val,dog,two\nc,test,cat,three\n"


def parquet_of(**columns: object) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue().to_pybytes()


WHOLE = {  # name: (file, content, options, what is said)
    "empty": ("t.csv", b"", {}, r"t\.csv is empty"),
    "blank": ("t.csv", b"\n \n", {}, r"t\.csv is empty"),
    "header only": (
        "t.csv",
        b"id,split,label,note\n",
        {},
        r"t\.csv has no rows, only the columns id, split, label, note",
    ),
    "a spreadsheet": ("t.xlsx", b"PK", {}, r"t\.xlsx is no readable spreadsheet: "),
    "another program's file": (
        "t.sav",
        b"$FL2",
        {},
        r"t\.sav is no table: its name must end in \.csv, .*It becomes one by: uv run .*read_spss\('t\.sav'\)",
    ),
    "a packed table cut short": (
        "t.csv.gz",
        gzip.compress(GOOD.encode())[:-9],
        {},
        r"t\.csv\.gz is no whole \.gz file",
    ),
    "a packed table that is none": ("t.csv.xz", GOOD.encode(), {}, r"t\.csv\.xz is no whole \.xz file"),
    "a packed picture": ("t.png.gz", gzip.compress(b"x"), {}, r"t\.png\.gz is no table: its name must end in"),
    "wrong delimiter": (
        "t.csv",
        GOOD.replace(",", ";").encode(),
        {},
        r"t\.csv has only one column where ',' is the delimiter; its first line holds ';'",
    ),
    "tabs in a .csv": ("t.csv", GOOD.replace(",", "\t").encode(), {}, "its first line holds a tab"),
    "commas in a .tsv": ("t.tsv", GOOD.encode(), {}, r"only one column where '\\t' is the delimiter; .* holds ','"),
    "a delimiter that is none": ("t.csv", GOOD.encode(), {"delimiter": "||"}, "delimiter must be one character"),
    "one column": ("t.csv", b"id\na\n", {}, "only one column .* a table has at least a label"),
    "a column missing": (
        "t.csv",
        GOOD.replace("note", "notes").encode(),
        {},
        r"modalities\.note: there is no column of .*t\.csv called 'note'; .*Did you mean 'notes'",
    ),
    "a label column missing": ("t.csv", GOOD.encode(), {"label": "lable"}, r"options\.label: .*'lable'.*'label'"),
    "a column twice": ("t.csv", GOOD.replace("note", "split").encode(), {}, "more than one column is called 'split'"),
    "a short line": (
        "t.csv",
        GOOD.replace("b,val,dog,two", "b,val,dog").encode(),
        {},
        r"the header has 4 columns, but line 3 has 3",
    ),
    "a long line": ("t.csv", GOOD.replace("two", "two,too").encode(), {}, r"but line 3 has 5"),
    "a long line after one of two lines": (
        "t.csv",
        GOOD.replace("one", '"one\n1"').replace("three", "3,3").encode(),
        {},
        r"but line 5 has 5",
    ),
    "an open quote": ("t.csv", GOOD.replace("two", '"two').encode(), {}, r"t\.csv line 3: unexpected end of data"),
    "a quote inside": ("t.csv", GOOD.replace("two", '"tw"o"').encode(), {}, r"t\.csv line 3: .*doubled"),
    "gb18030": (
        "t.csv",
        GOOD.replace("two", "海报").encode("gb18030"),
        {},
        r"t\.csv line 3 is no utf-8: byte 0xba\. .*dataset\.options\.encoding .*gb18030",
    ),
    "latin-1": ("t.csv", GOOD.replace("three", "drei Äpfel").encode("latin-1"), {}, r"line 4 is no utf-8: byte 0xc4"),
    "utf-16": ("t.csv", GOOD.encode("utf-16"), {}, r"line 1 is no utf-8: .*utf-16 is likely"),
    "an encoding that is none": (
        "t.csv",
        GOOD.encode(),
        {"encoding": "utf-eight"},
        "no encoding is called 'utf-eight'",
    ),
    "a NUL byte": ("t.csv", GOOD.replace("two", "t\0o").encode(), {}, r"t\.csv line 3 holds a NUL byte"),
    "utf-16 without a mark": ("t.csv", GOOD.encode("utf-16-le"), {}, r"line 1 holds a NUL byte"),
    "no JSON": ("t.jsonl", b'{"id": "a"}\n{"id": \n', {}, r"t\.jsonl line 2: no JSON object"),
    "a JSON array of numbers": ("t.json", b'[{"id": "a"}, 3]', {}, "object 2: no JSON object, but 3"),
    "a JSON array cut short": ("t.json", b'[{"id": "a"}, {"id":', {}, r"t\.json: no JSON object: .*char"),
    "a JSON list in a line": ("t.jsonl", b'{"id": "a"}\n[1]\n', {}, r"line 2: no JSON object, but '\[1\]'"),
    "a JSON key twice": ("t.jsonl", b'{"id": "a", "id": "b"}\n', {}, r"line 1: .*'id' occurs in it twice"),
    "half a surrogate pair": ("t.jsonl", b'{"id": "\\ud83d"}\n', {}, r"line 1: no JSON object: .*surrogates"),
    "no Parquet": ("t.parquet", b"PAR1 garbage", {}, r"t\.parquet is no readable Parquet file"),
    "Parquet cut short": ("t.parquet", parquet_of(id=["a"])[:-9], {}, r"t\.parquet is no readable Parquet file"),
    "a Parquet text that is no UTF-8": (
        "t.parquet",
        parquet_of(id=pa.array([b"\xff"]).view(pa.string()), note=["x"]),
        {},
        "no readable Parquet file",
    ),
    "duplicate keys": (
        "t.csv",
        (GOOD + "a,train,dog,four\nc,test,dog,5\na,train,cat,6\n").encode(),
        {},
        r"2 keys .*\n  'a': t\.csv line 2, t\.csv line 5, t\.csv line 7\n  'c': t\.csv line 4",
    ),
    "nothing usable": (
        "t.csv",
        GOOD.encode(),
        {"classes": ["x", "y"]},
        r"none of its 3 rows can be used; .*no class called 'cat'; there are x, y.*\(2 times\)",
    ),
    "a split that is empty": (
        "t.csv",
        GOOD.replace("val", "train").encode(),
        {},
        r"no usable row is in split val .*shares: \{val: 0\.15\} draws it from",
    ),
    "too few rows to draw from": ("t.csv", GOOD.encode(), {"split": None}, "no usable row is in split .* too few rows"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_table_that_cannot_be_understood_is_an_error_that_says_where(tmp_path, case):
    name, content, options, said = WHOLE[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, ParameterError), match=said):
        adapter(tmp_path / name, **options)


def test_a_table_in_another_encoding_is_read_when_it_is_named(tmp_path):
    for encoding in ("gb18030", "utf-16", "utf-8-sig"):
        (tmp_path / "t.csv").write_bytes(GOOD.replace("two", "海报").encode(encoding))
        chosen = {} if encoding == "utf-8-sig" else {"encoding": encoding}
        assert adapter(tmp_path / "t.csv", **chosen).sample("val", 0).members["note.txt"].decode() == "海报"


def test_a_table_or_a_root_that_is_not_there_is_named_with_what_is(tmp_path):
    write_table(tmp_path / "data.csv", plain_rows())
    with pytest.raises(DataError, match=r"no table called 'date\.csv'; there are data\.csv\. Did you mean 'data\.csv'"):
        adapter(tmp_path / "date.csv")
    with pytest.raises(DataError, match=r"nowhere is no folder; dataset\.root"):
        adapter(tmp_path / "nowhere" / "data.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv cannot be read: Is a directory"):
        adapter(tmp_path / "folder.csv")


OPTIONS = [
    ({"modalities": {"note": {"column": "note"}}}, r"modalities\.note\.kind: there is no kind called None; .*audio"),
    ({"modalities": {"note": {"column": "note", "kind": "pictures"}}}, r"no kind called 'pictures'"),
    ({"modalities": {"note": {"colum": "note", "kind": "text"}}}, r"no setting called 'colum'.*Did you mean 'column'"),
    ({"modalities": {"note": {"kind": "text"}}}, "must name either its column or its columns"),
    ({"modalities": {"note": {"kind": "text", "column": "note", "columns": ["id"]}}}, "its column or its columns"),
    ({"modalities": {"note": {"kind": "text", "columns": ["note", "id"]}}}, "cannot be the columns of one text"),
    ({"modalities": {"v": {"kind": "vector", "columns": ["note", "note"]}}}, "columns of one vector; .*once"),
    ({"modalities": {"v": {"kind": "vector", "columns": "note"}}}, "'note' must be names of columns"),
    ({"modalities": {"v": {"kind": "vector", "columns": ["note"], "fill": "mean"}}}, r"v\.fill must be a number"),
    (
        {"modalities": {"note": {"kind": "text", "column": "note", "fill": 0}}},
        r"note\.fill is for series and vectors, not for text",
    ),
    ({"modalities": {"p": {"kind": "image", "column": "note", "inline": True}}}, r"p\.inline is True; only text"),
    ({"modalities": {"p": {"kind": "image", "column": "note", "path": "a.png"}}}, r"p\.path: 'a.png' has no \{\}"),
    ({"modalities": {"p": {"kind": "image", "column": "note", "path": "{"}}}, r"p\.path: '\{' is no path"),
    ({"modalities": {"p": {"kind": "image", "column": "note", "path": "{ids}.png"}}}, r"p\.path: .*Did you mean 'id'"),
    ({"modalities": {"p": {"kind": "image", "column": "note", "path": []}}}, r"p\.path is empty"),
    ({"modalities": {"p": {"kind": "image", "column": "note", "match": "best"}}}, r"p\.match: .*exact, loose"),
    ({"modalities": {"p": {"kind": "image", "column": "note", "shape": 48}}}, r"p\.shape must be \[height, width\]"),
    ({"modalities": {"t": {"kind": "text", "column": "note", "match": "loose"}}}, r"t: path and match are for cells"),
    ({"columns": {"nota": {"type": "number"}}}, r"options\.columns: there is no column .*Did you mean 'note'"),
    ({"columns": ["note"]}, r"options\.columns must be a mapping"),
    (
        {"columns": {"note": {"type": "list"}}, "modalities": {"v": {"kind": "vector", "columns": ["note"]}}},
        r"columns\.note is of type list, which is no single value",
    ),
    ({"modalities": {"a note": {"kind": "text", "column": "note"}}}, "'a note' must be a plain name"),
    ({"modalities": {"_note": {"kind": "text", "column": "note"}}}, "'_note' must be a plain name"),
    ({"modalities": {"note": "note"}}, r"modalities\.note must be \{column: \.\.\., kind: \.\.\.\}"),
    ({"modalities": ["note"]}, r"options\.modalities must be a mapping"),
    ({"missing": "NA"}, r"options\.missing must be a list, not 'NA'"),
    ({"shares": 0.2}, r"options\.shares must be a mapping"),
    ({"duplicate_keys": "last"}, "duplicate_keys: there is no choice called 'last'; there are error, first"),
    ({"unlabelled": "drop"}, "unlabelled: there is no choice called 'drop'; there are none, reject"),
    ({"separator": ""}, "separator must be a text"),
    ({"label": ["cat", "fox"]}, r"label must name one column for every class.*no class: fox; without a column: dog"),
    ({"other_roots": ["relative"]}, "other_roots must list absolute folders, not 'relative'"),
    ({"key": "ids"}, r"options\.key: there is no column .*Did you mean 'id'"),
    ({"group": "grp"}, r"options\.group: there is no column"),
    ({"split": "part"}, r"options\.split: there is no column"),
]


@pytest.mark.parametrize(("options", "said"), OPTIONS)
def test_an_option_that_cannot_be_is_named_with_what_can(tmp_path, options, said):
    path = write_table(tmp_path / "t.csv", plain_rows())
    with pytest.raises(ParameterError, match=said):
        adapter(path, **options)


@pytest.mark.parametrize("file", ["../t.csv", "/etc/passwd.csv"])
def test_the_table_itself_lies_below_the_root(tmp_path, file):
    (tmp_path / "root").mkdir()
    with pytest.raises(ParameterError, match=r"dataset\.options\.file: .*leads out of the data root"):
        Adapter(tmp_path / "root", classes=["a", "b"], task="single_label", file=file, label="l", modalities={})


ROWS = {  # name: (what is changed in the first row, options, why it is left out)
    "no key": ({"id": None}, {}, "the key is empty"),
    "no label": ({"label": None}, {}, "no label: label is empty"),
    "NaN for a label": ({"label": "NaN"}, {}, "no label: label is empty"),
    "an unknown label": (
        {"label": "Cat"},
        {},
        r"^unknown label: label: there is no class called 'Cat'; there are cat, dog\. .*'cat'",
    ),
    "no split": ({"split": None}, {}, "the split is empty"),
    "an unknown split": ({"split": "trian"}, {}, r"^unknown split: .*no split called 'trian'; .*Did you mean 'train'"),
    "nothing there": ({"note": None}, {}, "every modality is missing"),
    "no label of several": (
        {"label": None},
        {"task": "multi_label"},
        r"no label: label is empty \(dataset\.options\.unlabelled\)",
    ),
    "an unknown label of several": ({"label": "cat|cow"}, {"task": "multi_label"}, "no class called 'cow'"),
    "a word for a number": (
        {"b": "high"},
        {"modalities": {"v": {"kind": "vector", "columns": ["a", "b"]}}},
        "no usable number: in b, 'high' is no number",
    ),
    "an infinite number": (
        {"a": "-inf"},
        {"modalities": {"v": {"kind": "vector", "columns": ["a", "b"]}}},
        "no usable number: in a, '-inf' is not finite",
    ),
    "a number beyond float32": (
        {"a": 1e39},
        {"modalities": {"v": {"kind": "vector", "columns": ["a", "b"]}}},
        "1e.39.* is not finite in float32",
    ),
    "a label column that is empty": (
        {"cat": None},
        {"label": ["cat", "dog"], "task": "multi_label"},
        "whether a class applies is not known, cat is empty",
    ),
    "a label column that says maybe": (
        {"cat": "maybe"},
        {"label": ["cat", "dog"], "task": "multi_label"},
        "not known .*: in cat, 'maybe' is neither 1 nor 0",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_cannot_be_used_is_left_out_with_line_and_reason_and_the_others_stay(tmp_path, case):
    change, options, reason = ROWS[case]
    rows = [row | {"a": 1, "b": 2, "cat": 1, "dog": 0} for row in plain_rows()]
    rows[0] |= change
    made = adapter(write_table(tmp_path / "t.csv", rows), **options)
    (rejected,) = made.rejected
    assert rejected.file == "t.csv line 2"
    assert re.search(reason, rejected.reason)
    assert rejected.key == ("" if case == "no key" else "k0")
    assert [s.key for s in samples(made)] == ["k3", "k1", "k4", "k2", "k5"]


def test_of_rows_with_one_key_the_first_can_be_kept_and_the_others_are_listed(tmp_path):
    rows = plain_rows(9)
    rows[4]["id"] = rows[7]["id"] = "k1"
    made = adapter(write_table(tmp_path / "t.parquet", rows), duplicate_keys="first")
    assert [(row.file, row.reason) for row in made.rejected] == [
        ("t.parquet row 5", "duplicate key: t.parquet row 2 has 'k1' already"),
        ("t.parquet row 8", "duplicate key: t.parquet row 2 has 'k1' already"),
    ]
    assert sum(made.num_samples.values()) == 7


def test_every_row_is_a_sample_or_listed(tmp_path):
    rows = plain_rows(60)
    for i in range(0, 60, 7):
        rows[i]["label"] = "cow"
    made = adapter(write_table(tmp_path / "t.csv", rows))
    assert sum(made.num_samples.values()) + len(made.rejected) == 60


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(png(rng))
    (root / "good.png").write_bytes(png(rng))
    (root / "sound.wav").write_bytes(wav(rng))
    (root / "empty.png").touch()
    (root / "folder.png").mkdir()
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "loop.png").symlink_to(root / "loop.png")
    os.mkfifo(root / "pipe.png")
    for name, text in {
        "ragged.csv": "1,2\n3,4,5\n",
        "words.csv": "x,y\n1,2\n3,four\n",
        "inf.csv": "1,2\n3,inf\n",
        "blank.csv": "\n\n",
        "head.csv": "x,y\n",
        "quote.csv": '1,"2\n',
        "comma.csv": "1,5;2,5\n",
        "firstinf.csv": "inf,inf\n1,2\n",
    }.items():
        (root / name).write_text(text)
    (root / "utf16.csv").write_bytes("1,2\n".encode("utf-16"))
    arrays = {
        "nan": np.array([[1.0, np.nan]]),
        "inf": np.array([[1.0, -np.inf]]),
        "huge": np.array([[1e300]]),
        "cube": np.zeros((2, 2, 2)),
        "none": np.zeros((0, 3)),
        "words": np.array([["a", "b"]]),
        "scalar": np.array(1.0),
        "complex": np.array([[1j]]),
    }
    for name, array in arrays.items():
        np.save(root / f"{name}.npy", array)
    np.save(root / "pickled.npy", np.array([[None, {}]], dtype=object), allow_pickle=True)
    (root / "cut.npy").write_bytes((root / "nan.npy").read_bytes()[:-3])
    np.save(root / "matrix.npy", np.ones((2, 2)))
    return root


FILES = [
    ("image", "none.png", "does not exist"),
    ("image", "sub\\good.png", "does not exist: folders are separated by '/'"),
    ("image", "https://example.org/a.png", "does not exist: it is an address"),
    ("image", "empty.png", r"is empty \(0 bytes\)"),
    ("image", "folder.png", "is a folder"),
    ("image", "pipe.png", "is no regular file"),
    ("image", "loop.png", "cannot be read"),
    ("image", "x" * 300 + ".png", "cannot be read: File name too long"),
    ("image", "../secret.png", r"leads out of the data root: to .*secret\.png, which is not below .*root"),
    ("image", "link.png", r"leads out of .*secret\.png, which"),
    ("image", "up/secret.png", r"leads out of .*secret\.png, which"),
    ("image", "/etc/hostname.png", "leads out of the data root: to /etc/hostname.png"),
    ("image", "sound.wav", r"is not an image but really a WAV sound"),
    ("image", "good", "does not exist"),
    ("audio", "good.png", r"is not a sound but really a PNG image"),
    ("series", "ragged.csv", "ragged rows: line 2 has 3 values, line 1 2"),
    ("series", "words.csv", "no usable number: line 3, 'four' is no number"),
    ("series", "inf.csv", "line 2, 'inf' is not finite"),
    ("series", "firstinf.csv", "line 1, 'inf' is not finite"),
    ("series", "comma.csv", "line 1, '1,5' is no number"),
    ("series", "blank.csv", "holds no numbers"),
    ("series", "head.csv", "holds no numbers"),
    ("series", "quote.csv", "no readable .csv file"),
    ("series", "utf16.csv", "no readable .csv file"),
    ("series", "inf.npy", r"-inf in place \[0, 1\] is not finite"),
    ("series", "huge.npy", "1e.300 in place"),
    ("series", "cube.npy", r"shape \(2, 2, 2\) .*, not real numbers along two axes"),
    ("series", "none.npy", r"shape \(0, 3\)"),
    ("series", "words.npy", "holds <U1, not real numbers"),
    ("series", "complex.npy", "holds complex128, not real numbers"),
    ("series", "scalar.npy", r"shape \(\)"),
    ("series", "pickled.npy", "no readable .npy file"),
    ("series", "cut.npy", "no readable .npy file"),
    ("vector", "matrix.npy", "no vector: shape .* not real numbers along one axis"),
]


@pytest.mark.parametrize(("kind", "named", "reason"), FILES)
def test_a_file_that_cannot_be_used_is_named_with_its_reason_and_the_others_go_on(files, kind, named, reason):
    rows = [row | {"pic": None} for row in plain_rows()]
    rows[0]["pic"] = named
    modalities = {"pic": {"column": "pic", "kind": kind}, "note": {"column": "note", "kind": "text"}}
    made = adapter(write_table(files / "t.csv", rows), modalities=modalities)
    with pytest.raises(BadSample, match=reason) as caught:
        made.sample("train", 0)
    assert (caught.value.file, caught.value.key) == (named, "k0")
    assert [sum(1 for _ in sample.members) for sample in [made.sample("train", 1), made.sample("val", 0)]] == [1, 1]


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    """Root can read everything, so the system call is patched to refuse."""
    from pathlib import Path

    (tmp_path / "a.txt").write_text("x")
    path = write_table(tmp_path / "t.csv", [row | {"note": "a.txt"} for row in plain_rows()])
    made = adapter(path, modalities={"note": {"column": "note", "kind": "text", "inline": False}})

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(BadSample, match=r"a\.txt: cannot be read: Permission denied"):
        made.sample("train", 0)


def test_a_path_with_a_nul_is_named(tmp_path):
    rows = [row | {"pic": "a\0.png"} for row in plain_rows()]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = adapter(tmp_path / "t.jsonl", modalities={"pic": {"column": "pic", "kind": "image"}})
    with pytest.raises(BadSample, match="the path holds a NUL byte"):
        made.sample("train", 0)


@pytest.mark.parametrize(("cell", "reason"), [([1.0, 1e39], "not finite in float32"), (["a", "b"], "'a' is no number")])
def test_a_list_that_is_no_vector_is_named_with_its_line(tmp_path, cell, reason):
    rows = [row | {"e": [1.0, 2.0]} for row in plain_rows()]
    rows[0]["e"] = cell
    made = adapter(write_table(tmp_path / "t.jsonl", rows), modalities={"e": {"column": "e", "kind": "vector"}})
    with pytest.raises(BadSample, match=r"t\.jsonl line 1, e: .*" + reason):
        made.sample("train", 0)
    assert made.sample("train", 1)
