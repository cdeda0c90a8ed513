"""`umemma init` finds out how a text table is written, says it, and writes it down; the adapter reads it as written."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umemma.errors import DataError
from umemma.init import dialect
from umemma.sources.tables import file as table_file
from umemma.sources.tables.file import Dialect
from umemma.sources.tables.text import likely_encoding

NAMES = ["id", "said", "a", "label"]


def written(rows, names=NAMES, **how):
    buffer = io.StringIO()
    csv.writer(buffer, **{"lineterminator": "\n"} | how).writerows([names, *rows] if names else rows)
    return buffer.getvalue()


def rows_of(count=60):
    return [[f"x{i}", f"sentence {i}, with a comma", f"{i / 7:.2f}", "ab"[i % 2]] for i in range(count)]


def opened(path, content, encoding=None):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return dialect.opened(path, encoding)


CASES = {  # name: (file, text, options that differ from the defaults, what is said)
    "as it should be": ("t.csv", written(rows_of()), {}, ""),
    "semicolons and decimal commas": (
        "t.csv",
        written([[*row[:2], row[2].replace(".", ","), row[3]] for row in rows_of()], delimiter=";"),
        {"delimiter": ";"},
        "';' between cells",
    ),
    "tabs in a .csv": ("t.csv", written(rows_of(), delimiter="\t"), {"delimiter": "\t"}, "a tab between cells"),
    "quotes as letters": (
        "t.tsv",
        written(rows_of(), delimiter="\t", quoting=csv.QUOTE_NONE).replace("sentence 3,", '"sentence" 3,'),
        {"quote": None},
        "quotation marks are letters",
    ),
    "quotes that happen to close lines below": (
        "t.tsv",
        written(rows_of(), delimiter="\t", quoting=csv.QUOTE_NONE)
        .replace("sentence 3, with a comma", '"sentence 3')
        .replace("sentence 9, with a comma", 'sentence 9"'),
        {"quote": None},
        "quotation marks are letters",
    ),
    "cells of several lines": (
        "t.csv",
        written([[row[0], f'one "line"\n{row[1]}', *row[2:]] for row in rows_of()]),
        {},
        "",
    ),
    "a backslash before quotes": (
        "t.csv",
        written([[row[0], f'say "hi", {row[1]}', *row[2:]] for row in rows_of()], doublequote=False, escapechar="\\"),
        {"escape": "\\"},
        "a backslash before quotation marks",
    ),
    "no header": (
        "iris.data",
        written([[f"{i / 7:.1f}", f"{i}", "xy"[i % 2]] for i in range(40)], names=None),
        {"header": False},
        "the first line is data",
    ),
    "pixels without a header": (
        "t.csv",
        written([[i % 3, 0, 0, i, 255] for i in range(40)], names=None),
        {"header": False},
        "the first line is data",
    ),
    "years as names": (
        "t.csv",
        written([[f"x{i}", i / 3, i / 2, "ab"[i % 2]] for i in range(40)], ["id", 2019, 2020, "label"]),
        {},
        "",
    ),
    "pandas's numbers as names": ("t.csv", written([[i, i / 3] for i in range(40)], [0, 1]), {}, ""),
    "words alone": ("t.csv", written([["Rome", "a b"], ["Oslo", "c d"]] * 9, ["city", "note"]), {}, ""),
    "comments": ("t.csv", "# made by a machine\n# on a day\n" + written(rows_of()), {"comment": "#"}, "begin with #"),
    "a title": ("t.csv", "Report of May\n\n" + written(rows_of()), {"skip": 1}, "the first 1 lines"),
    "blanks": (
        "t.dat",
        "\n".join(f"{i:>4} {i / 7:10.3f}   {'ab'[i % 2]}" for i in range(40)),
        {"delimiter": " ", "header": False},
        "blanks between cells",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_how_a_table_is_written_is_found_said_and_kept_as_options(tmp_path, case):
    name, text, options, said = CASES[case]
    result = opened(tmp_path / name, text)
    assert result.options == options
    assert bool(result.said) == bool(said)
    assert said in " ".join(result.said)
    again = table_file.read(tmp_path / name, Dialect(**options))
    assert again.columns == result.table.columns


def test_the_cells_are_the_ones_that_were_written(tmp_path):
    for case in ("quotes as letters", "a backslash before quotes", "cells of several lines", "comments"):
        name, text, _, _ = CASES[case]
        table = opened(tmp_path / name, text).table
        assert len(table.places) == 60
        said = {"quotes as letters": '"sentence" 3, with a comma', "comments": "sentence 3, with a comma"}.get(case)
        said = said or {"cells of several lines": 'one "line"\n'}.get(case, 'say "hi", ') + "sentence 3, with a comma"
        assert table.columns["said"][3] == said
    blanks = opened(tmp_path / "t.dat", CASES["blanks"][1]).table
    assert [cells[39] for cells in blanks.columns.values()] == ["39", "5.571", "b"]


def test_a_line_that_begins_like_a_comment_inside_a_cell_is_text(tmp_path):
    text = '# comment\nid,said\n1,"one\n# two"\n# gone\n2,x\n'
    (tmp_path / "t.csv").write_text(text)
    table = table_file.read(tmp_path / "t.csv", Dialect(comment="#"))
    assert table.columns == {"id": ("1", "2"), "said": ("one\n# two", "x")}
    assert table.places == [3, 6]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=9),
            st.integers(0, 99),
        ),
        min_size=8,
        max_size=20,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_a_table_with_every_cell_in_quotes_is_read_as_it_was_written_whatever_stands_in_it(rows, delimiter):
    text = written(
        [[cell, number, "ab"[number % 2]] for cell, number in rows],
        ["x", "n", "label"],
        delimiter=delimiter,
        quoting=csv.QUOTE_ALL,
    )
    found = dialect.detected(text, ",", "utf-8")
    assert (found.delimiter or ",", found.quote, found.skip, found.header) == (delimiter, '"', 0, True)


LINES = {
    "cp1252": "I don\u2019t know \u2013 \u201cyes\u201d",
    "gb18030": "这家餐厅的味道非常好下次还会再来",
    "big5": "這家餐廳的味道非常好下次還會再來",
    "cp932": "これはとても美味しいです。また来ます",
    "cp949": "이 식당은 정말 맛있어요 다시 올게요",
    "cp1251": "это очень вкусный ресторан мы придём ещё",
    "koi8_r": "это очень вкусный ресторан мы придём ещё",
    "cp1250": "zażółć gęślą jaźń to jest „dobre”",
    "utf-16": "plain words",
    "utf-16-le": "plain words",
    "utf-16-be": "plain words",
    "utf-32": "plain words",
}


@pytest.mark.parametrize("encoding", LINES)
def test_an_encoding_is_found_said_with_a_line_and_kept(tmp_path, encoding):
    text = written([[i, LINES[encoding] + f" {i}", "ab"[i % 2]] for i in range(40)], ["id", "said", "label"])
    result = opened(tmp_path / "t.csv", text.encode(encoding))
    assert result.options["encoding"] == encoding
    assert result.table.columns["said"][7] == LINES[encoding] + " 7"
    assert f"the file is read as {encoding}" in result.said[0]
    assert "--encoding ENCODING names another" in result.said[0]


def test_western_letters_are_windows_1252_and_utf_8_is_not_mistaken():
    assert likely_encoding("id,city\n1,Zürich\n2,Bogotá\n".encode("latin-1")) == "cp1252"
    assert likely_encoding("id,price\n1,3 €\n2,4 €\n5,7 €\n".encode("cp1252")) == "cp1252"
    assert likely_encoding("id,city\n1,Zürich\n".encode()) == likely_encoding("\ufeffa".encode()) == "utf-8"


def test_one_damaged_byte_in_utf_8_is_named_and_makes_no_other_encoding(tmp_path):
    content = "".join(f"{i},Größe und Länge\n" for i in range(30)).encode()
    damaged = content[:200] + b"\xff" + content[200:]
    with pytest.raises(DataError, match=r"line 10 is no utf-8: byte 0xff\. The rest is: the byte is damaged"):
        opened(tmp_path / "t.csv", damaged)


def test_an_encoding_that_the_user_names_is_taken(tmp_path):
    result = opened(tmp_path / "t.csv", "id,city\n1,Łódź\n2,Ełk\n3,Ruś\n".encode("iso8859-2"), "iso8859-2")
    assert (result.table.columns["city"], result.said) == (("Łódź", "Ełk", "Ruś"), [])
    with pytest.raises(DataError, match=r"is no utf-8: byte 0xa3\. Name its encoding in --encoding \("):
        dialect.opened(tmp_path / "t.csv", "utf-8")


def test_numbers_are_not_taken_for_a_header_because_they_are_whole():
    rng = np.random.default_rng(0)
    text = written(rng.integers(0, 9, (30, 4)).tolist(), names=None)
    assert not dialect.detected(text, ",", "utf-8").header


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("id;Größe\n1;2\n2;3\n", "cp1252"),
        ("id;straße\n1;Füße\n", "cp1252"),
        ("id,city\n1,Тюмень\n2,Пермь\n3,Омск\n", "cp1251"),
        ("id;名前\n1;好评\n", "gb18030"),
    ],
)
def test_few_letters_are_enough_for_the_script(text, encoding):
    assert likely_encoding(text.encode(encoding)) == encoding
