"""Spreadsheets, packed tables and JSON arrays mean what the same table means as CSV."""

import bz2
import csv
import datetime
import gzip
import io
import json
import lzma

import openpyxl
import pytest

from umemma.errors import DataError, ParameterError
from umemma.init import dialect
from umemma.sources.tables import file as table_file
from umemma.sources.tables.file import Dialect

NAMES = ["id", "said", "a", "label"]
ROWS = [[f"x{i}", f"sentence {i}", i / 4, "ab"[i % 2]] for i in range(30)]


def workbook(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def as_csv(rows):
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def test_cells_keep_their_types_and_rows_their_numbers(tmp_path):
    rows = [
        ["n", "x", "yes", "day", "hour", "word", "fault", None],
        [1, 2.5, True, datetime.date(2024, 1, 2), datetime.time(7, 30), " a ", "#N/A", None],
        [None] * 8,
        [None, -3, False, datetime.datetime(2024, 1, 3, 4, 5), datetime.timedelta(seconds=90), "1", "b", None],
    ]
    table = table_file.read(workbook(tmp_path / "t.xlsx", {"Data": rows}))
    assert {name: list(cells) for name, cells in table.columns.items()} == {
        "n": [1, None],
        "x": [2.5, -3],
        "yes": [True, False],
        "day": ["2024-01-02", "2024-01-03T04:05:00"],
        "hour": ["07:30:00", 90.0],
        "word": [" a ", "1"],
        "fault": [None, "b"],
    }
    assert [table.place(row) for row in range(2)] == ["t.xlsx row 2", "t.xlsx row 4"]
    assert isinstance(table.columns["n"][0], int)


def test_of_several_sheets_the_longest_is_read_and_said_or_the_one_that_is_named(tmp_path):
    path = workbook(
        tmp_path / "t.xlsx", {"Notes": [["about", "this"], ["a", "b"]], "Data": [NAMES, *ROWS], "Empty": []}
    )
    opened = dialect.opened(path)
    assert opened.options == {"sheet": "Data"}
    assert "of the sheets Notes, Data, Empty the longest is read, Data; --sheet NAME names another" in opened.said
    assert list(opened.table.columns["label"]) == [row[-1] for row in ROWS]
    assert list(dialect.opened(path, sheet="Notes").table.columns) == ["about", "this"]
    with pytest.raises(ParameterError, match=r"no sheet of .*called 'data'.*Did you mean 'Data'"):
        table_file.read(path, Dialect(sheet="data"))


def test_a_title_above_the_header_is_passed_over(tmp_path):
    path = workbook(tmp_path / "t.xlsx", {"Data": [["Measured in May"], [], NAMES, *ROWS]})
    opened = dialect.opened(path)
    assert opened.options == {"skip": 1}
    assert list(opened.table.columns) == NAMES
    assert opened.table.place(0) == "t.xlsx row 4"


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_packed_table_is_the_table(tmp_path, ending, pack):
    path = tmp_path / f"t.csv.{ending}"
    path.write_bytes(pack("id;Größe\n1;2\n2;3\n".encode("cp1252")))
    opened = dialect.opened(path)
    assert opened.options == {"delimiter": ";", "encoding": "cp1252"}
    assert list(opened.table.columns["Größe"]) == ["2", "3"]
    assert table_file.stem(path) == "t"


def test_a_json_array_is_read_as_json_lines_are(tmp_path):
    objects = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    (tmp_path / "t.json").write_text(json.dumps(objects, indent=1))
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, objects)))
    array, lines = (table_file.read(tmp_path / name) for name in ("t.json", "t.jsonl"))
    assert array.columns == lines.columns
    assert (array.place(2), lines.place(2)) == ("t.json object 3", "t.jsonl line 3")


def test_a_folder_of_classes_is_listed_by_the_line_that_the_error_gives(tmp_path, monkeypatch):
    (tmp_path / "pictures" / "cat").mkdir(parents=True)
    (tmp_path / "pictures" / "cat" / "1.png").touch()
    with pytest.raises(DataError, match=r"names the files of a folder of classes, a row per file: python -c") as error:
        table_file.read(tmp_path / "pictures")
    program = str(error.value).split('python -c "')[1].split('" > pictures.csv')[0]
    monkeypatch.chdir(tmp_path)
    exec(program, printed := {"print": lambda line: printed.setdefault("lines", []).append(line)})
    assert printed["lines"] == ["file,label", "pictures/cat/1.png,cat"]
