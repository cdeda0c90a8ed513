"""A row of a request as cells that `Reader` takes: known names, files as bytes, and paths only below the allowed folder.

A name is a column, or a modality that is read from one column. What no file of this kind could be - a name that is not
known, base64 that is none, a path that leads out - is refused: the client is mistaken. A file that turns out to be
damaged is the reader's to report: the row is answered without it.
"""

import base64
import binascii
import os
from collections import Counter
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from umemma.data.sample import BadSample
from umemma.errors import UmemmaError, unknown
from umemma.serving.http.limits import Limits, Refused, over
from umemma.serving.reader import Reader, Row
from umemma.sources.tables import objects
from umemma.sources.tables.cells import is_missing
from umemma.sources.tables.members import Folders
from umemma.sources.tables.paths import real_roots
from umemma.sources.tables.readings import NumberList, Object, readings
from umemma.sources.tables.sources import Source

_NAME = 200  # characters of a name that are looked at; the search for near matches takes the square of them
_PATH, _PART = 1024, 255  # characters of a path and of one name in it; longer ones the system refuses, too
BASE64 = "base64"


class Cells:
    """Reads the rows of requests; `root` is the folder that paths are relative to, None for no files at all."""

    def __init__(self, reader: Reader, limits: Limits, root: Path | None) -> None:
        # In a table, `match: loose` finds files that were named elsewhere, and events lie in a table beside it; here a path
        # means what it says, and events come with the row.
        self._reader = copy(reader)
        self._reader.sources = {name: replace(one, is_loose=False, events=None) for name, one in reader.sources.items()}
        self._limits, self._root = limits, root
        self._folders = Folders(root or Path.cwd(), () if root is None else real_roots(root, ()))
        inputs, kinds = reader.inputs, readings(reader.inputs.columns)
        self._missing = frozenset(spelling.casefold() for spelling in inputs.missing)
        self._objects = [name for name, one in kinds.items() if isinstance(one, Object)]
        self._lists = {name for name, one in kinds.items() if isinstance(one, NumberList)}
        own = [name for columns in reader.columns.values() for name in columns]
        others = (inputs.key, inputs.group, *self._objects)
        self._names = dict.fromkeys([*own, *(name for name in others if name is not None)])
        self._not_read = {name for name in inputs.known if name not in self._names}  # such as the label
        single = {name: one for name, one in self._reader.sources.items() if not one.are_numbers}
        shared = Counter(one.columns[0] for one in single.values())
        self._alias = {
            name: one.columns[0]
            for name, one in single.items()
            if name not in self._names and shared[one.columns[0]] == 1
        }
        self._single = list(single.values())
        self._of_column = {one.columns[0]: one for one in self._single}

    def rows(self, written: Mapping[str, object], where: str) -> list[Row]:
        """Return what the reader makes of a row, each window of it; `where` begins sentences: "row 2"."""
        try:
            read = {name: [cell] for name, cell in written.items() if name not in self._not_read}
            flat = objects.written_out(Path(where), read, [name for name in self._objects if name in read])
            cells: dict[str, object] = {}
            for name, (cell,) in flat.items():
                column = self._column(name, where)
                if column in cells:
                    raise Refused(422, "twice", f"{where}: {name!r} and {column!r} mean the same: send one")
                cells[column] = self._cell(column, cell, f"{where}: {name}")
            self._check_paths(cells, where)
            return [replace(row, place=where) for row in self._reader.read_one(cells, self._folders)]
        except UmemmaError as error:
            raise Refused(422, "row", f"{where}: {error}") from error

    def schema(self) -> dict[str, Any]:
        """Return JSON Schema of a row."""
        properties = {column: _takes(self._of_column.get(column)) for column in self._names}
        properties |= {name: {"description": "not read"} for name in self._not_read}
        properties |= {name: _takes(self._of_column[column]) for name, column in self._alias.items()}
        return {"type": "object", "properties": properties, "additionalProperties": bool(self._objects)}

    def _column(self, name: str, where: str) -> str:
        if name in self._names:
            return name
        if name in self._alias:
            return self._alias[name]
        raise Refused(
            422, "unknown", unknown(where, "key", name[:_NAME], {*self._names, *self._not_read, *self._alias})
        )

    def _cell(self, column: str, cell: object, where: str) -> object:
        source = self._of_column.get(column)
        if cell is None:
            return None
        if isinstance(cell, dict) and cell.keys() == {BASE64}:
            cell = self._decoded(cell[BASE64], where)
        if isinstance(cell, bytes):
            return self._file(cell, source, where)
        if source is not None and source.inline and isinstance(cell, str):
            if len(cell) > self._limits.medium_bytes:
                raise over(self._limits, "medium_bytes", where)
            return cell
        if isinstance(cell, str) and len(cell) > self._limits.text_chars:
            raise over(self._limits, "text_chars", f"{where} has {len(cell):,} characters")
        if isinstance(cell, dict):
            raise Refused(422, "type", f'{where} is an object: a file is {{"{BASE64}": "..."}}, and nothing beside it')
        if isinstance(cell, list) and (source is None or source.inline):
            raise Refused(422, "type", f"{where} is a list, and one value is read")
        if isinstance(cell, bool) and source is not None:
            raise Refused(422, "type", f"{where} is {str(cell).lower()}, which is no {source.kind}")
        return cell

    def _decoded(self, written: object, where: str) -> bytes:
        if not isinstance(written, str):
            raise Refused(422, "base64", f"{where}.{BASE64} is no text")
        if len(written) > (self._limits.medium_bytes + 2) // 3 * 4:
            raise over(self._limits, "medium_bytes", where)
        try:
            return base64.b64decode(written, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused(
                422,
                "base64",
                f"{where}.{BASE64} is no base64, without blanks, line breaks or `data:...,` before it: {error}",
            ) from error

    def _file(self, content: bytes, source: Source | None, where: str) -> bytes | str:
        if source is None:
            raise Refused(422, "type", f"{where} is a file, and one value is read")
        if len(content) > self._limits.medium_bytes:
            raise over(self._limits, "medium_bytes", f"{where} has {len(content):,} bytes")
        if not content:
            raise Refused(422, "empty", f"{where} is an empty file: leave out what is not there")
        if not source.inline:
            return content
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise Refused(422, "type", f"{where} is no text in UTF-8") from error

    def _check_paths(self, cells: Mapping[str, object], where: str) -> None:
        """Refuse a path that leads out, before the reader says where to."""
        for source in self._single:
            column = source.columns[0]
            cell = cells.get(column)
            if source.inline or column in self._lists:
                continue
            if not isinstance(cell, str | int | float) or is_missing(cell, self._missing):
                continue
            if self._root is None:
                raise Refused(
                    422,
                    "path",
                    f'{where}: {column} is a path, and this server reads no files: send {{"{BASE64}": "..."}} or a form, '
                    "or start it with --allow FOLDER",
                )
            named = {name: cells.get(name) for template in source.paths for name in template.columns}
            for template in source.paths:
                try:
                    path = template(named | {"": cell}, where)
                except BadSample:  # a cell that it needs is not there, which the reader reports
                    continue
                self._check_path(path, f"{where}: {column}")

    def _check_path(self, path: str, where: str) -> None:
        assert self._root is not None
        parts = PurePosixPath(path).parts
        if "\0" in path or len(path) > _PATH or any(len(part.encode()) > _PART for part in parts):
            raise Refused(422, "path", f"{where} is a path that no file can have")
        real = Path(os.path.realpath(self._root / path))
        is_below = any(real.is_relative_to(root) for root in self._folders.roots)
        if PurePosixPath(path).is_absolute() or ".." in parts or not is_below:
            raise Refused(422, "path", f"{where} leads out of the folder that this server may read")
        if real.is_file() and real.stat().st_size > self._limits.medium_bytes:
            raise over(self._limits, "medium_bytes", where)


def _takes(source: Source | None) -> dict[str, Any]:
    """Return JSON Schema of a cell; a column without a source holds one value."""
    if source is None:
        return {"type": ["string", "number", "boolean", "null"]}
    if source.inline:
        return {"type": ["string", "null"], "description": source.kind}
    file = {"type": "object", "properties": {BASE64: {"type": "string"}}, "required": [BASE64]}
    return {"description": source.kind, "anyOf": [file, {"type": ["string", "array", "null"]}]}
