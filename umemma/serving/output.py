"""Answers as one CSV or Parquet file, written in parts: what was answered before an interruption is not answered again.

Parts lie in a folder beside the output until all are there, together with a record of what they answer. The same command
goes on with them; one that differs - another model, changed rows, another coverage - begins anew. Several processes, on
several machines, may share the work. Either way the output is the same bytes as of one command in one go.
"""

import csv
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from umemma import locks
from umemma.errors import ParameterError
from umemma.files import read_json, write_json, written_whole

SUFFIXES = (".csv", ".tsv", ".parquet")
_RECORD = "record.json"
_BARE_RETURN = re.compile("\r(?!\n)")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class Parts:
    """The parts of an output; `record` says what they answer."""

    def __init__(self, output: Path, record: Mapping[str, Any]) -> None:
        if output.suffix.lower() not in SUFFIXES:
            raise ParameterError(f"{output}: answers are written as {', '.join(SUFFIXES)}")
        self._output, self._folder = output, output.with_name(f".{output.name}.parts")
        kept = self._folder / _RECORD
        with locks.held(output.parent):
            if not kept.is_file() or read_json(kept) != record:
                shutil.rmtree(self._folder, ignore_errors=True)
                write_json(kept, record)

    def holds(self, number: int) -> bool:
        """Return whether a part is there."""
        return self._path(number).is_file()

    def write(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a part."""
        write_json(self._path(number), list(rows))

    def join(self, count: int) -> int:
        """Write the output of so many parts, atomically, and remove them; return how many are not there yet."""
        with locks.held(self._output.parent):
            if not self._folder.is_dir():
                return 0  # joined by who shares the work
            if missing := sum(not self.holds(number) for number in range(count)):
                return missing
            suffix = self._output.suffix.lower()
            with written_whole(self._output) as temporary:
                if suffix == ".parquet":
                    _write_parquet(temporary, self._rows(count))
                else:
                    write_text(temporary, self._rows(count), "\t" if suffix == ".tsv" else ",")
            shutil.rmtree(self._folder)
        return 0

    def _rows(self, count: int) -> Iterator[list[dict[str, Any]]]:
        for number in range(count):
            yield read_json(self._path(number))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:07d}.json"


def fingerprint(path: Path) -> str:
    """Return a digest of what a table holds, or of the names, sizes and times of a folder's files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file_ in sorted(path.rglob("*")):
        status = file_.stat()
        digest.update(f"{file_.relative_to(path)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def print_csv(stream: IO[str], parts: Iterator[list[dict[str, Any]]]) -> None:
    """Write rows as CSV as they come; the first names the columns."""
    writer = csv.writer(stream, lineterminator="\n")
    for number, part in enumerate(parts):
        _write_rows(writer, part, with_head=number == 0)
        stream.flush()


def write_text(path: Path, parts: Iterator[list[dict[str, Any]]], delimiter: str = ",") -> None:
    """Write rows as CSV. A cell that a spreadsheet would run as a formula gets an apostrophe in front."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        for number, part in enumerate(parts):
            _write_rows(writer, part, with_head=number == 0)


def _write_rows(writer: Any, rows: Sequence[Mapping[str, Any]], *, with_head: bool) -> None:
    if with_head and rows:
        writer.writerow(map(harmless, rows[0]))
    for row in rows:
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row.values()])


def _write_parquet(path: Path, parts: Iterator[list[dict[str, Any]]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    for part in parts:
        if writer is None:
            schema = pa.schema([(name, _type(pa, name)) for name in part[0]])
            writer = parquet.ParquetWriter(path, schema)
        writer.write_table(pa.Table.from_pylist(part, writer.schema))
    if writer is not None:
        writer.close()


def _type(pa: Any, column: str) -> Any:
    """A column that is empty in the first rows has a type, too."""
    if column == "n":
        return pa.int64()
    texts = ("id", "place", "key", "predicted", "set", "used", "rejected", "notes", "measured")
    return pa.string() if column in texts else pa.float64()


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet runs, as OWASP recommends against CSV injection: it may come from the data.

    A carriage return by itself ends a row for whoever reads the file, and Python quotes it only from 3.13 on.
    """
    whole = _BARE_RETURN.sub("\n", cell)
    return f"'{whole}" if whole.startswith(_FORMULA) else whole


def as_it_was(cell: str) -> str:
    """Return the cell that `harmless` was given, but for carriage returns."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
