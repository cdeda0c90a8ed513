"""Rows for a model are read as the adapter of tables reads samples: windows, events, series, dialects, typed cells."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.table_sample import write_table
from umemma.media.decoders import events, series
from umemma.serving import rows as row_source
from umemma.serving.folder import Decoded, Inputs
from umemma.serving.reader import Reader
from umemma.sources.adapters import table

RNG = np.random.default_rng(0)


def reader(options, **decoded) -> Reader:
    chosen = {
        name: Decoded(decode=settings, shape=list(shape), dtype="int32" if settings["name"] == "words" else "float32")
        for name, (settings, shape) in decoded.items()
    }
    return Reader(Inputs(**table.inputs(options), decoded=chosen), Path("nowhere"))


def read(one: Reader, rows, media: Path | None = None, rows_at_once: int = 2) -> list:
    folders = row_source.folders(rows, media)
    return [
        row
        for piece in row_source.read(rows, one, rows_at_once)
        for row in one.read(piece.table, folders, piece.broken)
    ]


def samples(root: Path, options) -> dict[str, dict[str, bytes]]:
    adapter = table.Adapter(root, classes=("a", "b"), task="single_label", **options)
    made = [adapter.sample(split, i) for split, count in adapter.num_samples.items() for i in range(count)]
    return {one.key: {name.split(".")[0]: content for name, content in one.members.items()} for one in made}


def some_rows(count: int = 6) -> list[dict[str, object]]:
    return [{"id": f"r{i}", "label": "ab"[i % 2], "split": ("train", "val", "test")[i % 3]} for i in range(count)]


def test_every_window_of_a_recording_is_a_row_with_the_key_and_the_array_of_training(tmp_path):
    rows = some_rows()
    for i, row in enumerate(rows):
        np.save(tmp_path / f"{i}.npy", RNG.standard_normal((25 + 10 * i, 3)).astype(np.float32))
        row["motion"] = f"{i}.npy" if i != 4 else None
        row["beat"] = RNG.standard_normal((30, 1)).round(3).tolist()
    path = write_table(tmp_path / "t.jsonl", rows)
    options = {
        "file": path.name,
        "key": "id",
        "split": "split",
        "label": "label",
        "windows": {"steps": 10, "stride": 5},
    }
    options["modalities"] = {name: {"column": name, "kind": "series"} for name in ("motion", "beat")}
    decode = {"name": "series", "length": 10}
    found = {row.key: row for row in read(reader(options, motion=(decode, (3, 10)), beat=(decode, (1, 10))), path)}
    expected = samples(tmp_path, options)
    assert found.keys() == expected.keys()
    assert len(found) > 20
    decoder = series.Decoder(length=10)
    for key, members in expected.items():
        assert found[key].values.keys() == members.keys()
        for name, content in members.items():
            torch.testing.assert_close(found[key].values[name], decoder(content), rtol=0, atol=0, equal_nan=True)


def test_events_come_from_a_table_beside_from_the_cell_or_from_an_array(tmp_path):
    rows = some_rows()
    measured = {
        row["id"]: [[float(hour), int(RNG.integers(2)), float(RNG.integers(90))] for hour in range(i + 1)]
        for i, row in enumerate(rows)
    }
    lines = [f"{key},{time},{('hr', 'bp')[place]},{value}" for key, of in measured.items() for time, place, value in of]
    (tmp_path / "measured.csv").write_text("\n".join(["who,hour,what,value", *lines]) + "\n")
    path = write_table(tmp_path / "t.csv", rows)
    beside = {"file": "measured.csv", "key": "who", "time": "hour", "variable": "what", "value": "value"}
    options = {"file": path.name, "key": "id", "split": "split", "label": "label"}
    options["modalities"] = {
        "vitals": {"column": "id", "kind": "events", "events": {**beside, "variables": ["hr", "bp"]}}
    }
    decode = {"name": "events", "variables": 2, "span": 8.0, "bins": 4}
    expected = samples(tmp_path, options)
    of_cells = dict(options, modalities={"vitals": {"column": "vitals", "kind": "events"}})
    in_cells = [{"id": key, "vitals": found} for key, found in measured.items()]
    in_files = []
    for key, found in measured.items():
        np.save(tmp_path / f"{key}.npy", np.array(found[::-1], np.float32)[::-1])
        in_files.append({"id": key, "vitals": f"{key}.npy"})
    decoder = events.Decoder(variables=2, span=8.0, bins=4)
    for given, chosen in ((path, options), (in_cells, of_cells), (in_files, of_cells)):
        found = read(reader(chosen, vitals=(decode, (2, 4))), given, tmp_path)
        assert len(found) == len(expected)
        for row in found:
            wanted = decoder(expected[row.key]["vitals"])
            torch.testing.assert_close(row.values["vitals"], wanted, rtol=0, atol=0, equal_nan=True)
    late = [{"id": "x", "vitals": [[9.0, 0, 1.0]]}, {"id": "y", "vitals": [[1.0, 2.0]]}]
    reasons = [row.rejected["vitals"] for row in read(reader(of_cells, vitals=(decode, (2, 4))), late)]
    assert "outside of 0 to decode.span" in reasons[0]
    assert "no events: shape (1, 2)" in reasons[1]


def test_a_dialect_and_typed_cells_are_those_of_training(tmp_path):
    rows = [
        {**row, "age": f"{i},5 Jahre", "size": ("Small", "LARGE", "?")[i % 3], "since": f"0{i + 1}.03.2024"}
        for i, row in enumerate(some_rows())
    ]
    path = tmp_path / "t.csv"
    head = list(rows[0])
    path.write_text("\n".join(["# made by hand", ";".join(head), *(";".join(row.values()) for row in rows)]), "cp1252")
    options = {"file": path.name, "key": "id", "split": "split", "label": "label", "missing": ["?"]}
    options |= {"delimiter": ";", "comment": "#", "encoding": "cp1252"}
    options["columns"] = {
        "age": {"type": "number", "decimal": ",", "units": {"Jahre": 1.0}},
        "size": {"type": "category", "words": ["small", "large"]},
        "since": {"type": "time", "format": "%d.%m.%Y"},
    }
    options["modalities"] = {"about": {"kind": "vector", "columns": ["age", "size", "since"]}}
    width = len(np.load(_bytes(next(iter(samples(tmp_path, options).values()))["about"])))
    one = reader(options, about=({"name": "vector"}, (width,)))
    expected = {key: np.load(_bytes(members["about"])) for key, members in samples(tmp_path, options).items()}
    for row in read(one, path):
        np.testing.assert_array_equal(row.values["about"].numpy(), expected[row.key])
    (odd,) = one.read_one({"id": "z", "age": "many", "size": "tiny"}, row_source.folders([], None))
    assert odd.notes == [
        "about: no usable number: in age, 'many' is no number, taken as not measured",
        "a rare word in size",
    ]


def _bytes(content: bytes):
    import io

    return io.BytesIO(content)


@pytest.mark.parametrize("rows_at_once", [1, 3, 100])
def test_pieces_hold_every_row_once_whatever_their_size(tmp_path, rows_at_once):
    rows = [{**row, "note": f"n{i}\nsecond line" if i == 2 else f"n{i}"} for i, row in enumerate(some_rows(8))]
    options = {"file": "t", "key": "id", "label": "label", "modalities": {"note": {"column": "note", "kind": "text"}}}
    one = reader(options, note=({"name": "words", "length": 4, "buckets": 9}, (4,)))
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        path = write_table(tmp_path / f"t.{suffix}", rows)
        found = read(one, path, rows_at_once=rows_at_once)
        assert [row.key for row in found] == [row["id"] for row in rows]
        if suffix == "csv":
            assert [row.place for row in found][2:4] == ["t.csv line 4", "t.csv line 6"]


def test_objects_in_cells_are_columns_whether_written_as_text_or_not(tmp_path):
    rows = [{**row, "about": f'{{"text": "purrs {i}", "age": {i}}}'} for i, row in enumerate(some_rows())]
    path = write_table(tmp_path / "t.csv", rows)
    options = {
        "file": path.name,
        "key": "id",
        "split": "split",
        "label": "label",
        "columns": {"about": {"type": "object"}},
    }
    options["modalities"] = {
        "note": {"column": "about.text", "kind": "text"},
        "number": {"columns": ["about.age"], "kind": "vector"},
    }
    words = {"name": "words", "length": 3, "buckets": 9}
    one = reader(options, note=(words, (3,)), number=({"name": "vector"}, (1,)))
    native = [{"id": row["id"], "about": {"text": f"purrs {i}", "age": i}} for i, row in enumerate(rows)]
    written, given = read(one, path), read(one, native)
    for i, (first, second) in enumerate(zip(written, given, strict=True)):
        assert first.values["number"].tolist() == second.values["number"].tolist() == [float(i)]
        assert torch.equal(first.values["note"], second.values["note"])


def test_a_table_of_events_that_is_not_there_is_a_reason_and_not_the_end(tmp_path):
    beside = {"file": "gone.csv", "key": "who", "time": "hour", "variable": "what", "value": "value"}
    entry = {"column": "id", "kind": "events", "events": {**beside, "variables": ["hr", "bp"]}}
    options = {"file": "t", "key": "id", "label": "label", "modalities": {"vitals": entry}}
    one = reader(options, vitals=({"name": "events", "variables": 2, "span": 8.0, "bins": 4}, (2, 4)))
    present, absent = read(one, [{"id": "a"}, {"id": None}], tmp_path)
    assert "gone.csv" in present.rejected["vitals"]
    assert (present.values, absent.rejected) == ({}, {})


def test_of_json_lines_a_column_is_absent_if_no_row_has_it(tmp_path):
    options = {"file": "t", "key": "id", "label": "label"}
    options["modalities"] = {name: {"column": name, "kind": "text"} for name in ("note", "title", "plot")}
    one = reader(options)
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "a", "note": "x"}\n{"id": "b", "titel": "y"}\n{"id": "c", "plot": "z"}\n')
    said: list[str] = []
    remarks = row_source.Remarks(one, said.append)
    for piece in row_source.read(path, one, 1):
        remarks.on(piece.table.columns, are_all=piece.has_all_columns)
    remarks.end()
    assert said == [
        "column 'titel' is not read: did you mean 'title'?",
        "no column title: every row is answered without title",
    ]
