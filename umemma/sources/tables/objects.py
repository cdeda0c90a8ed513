"""Objects in cells as columns: `{"text": "...", "lang": "en"}` in a column `caption` is `caption.text` and `caption.lang`.

As pandas and others flatten JSON. A file in a cell, {bytes, path} as Hugging Face's data sets have it or {base64}, stays
what it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from umemma import limits
from umemma.errors import DataError
from umemma.sources.tables.cells import is_missing, structure

FILES = ({"bytes", "path"}, {"base64"})  # what stands for a file: as Hugging Face has it, and in JSON
_MOST_KEYS = 1000  # of more, such as the counts of words, columns are not made


def as_columns(path: Path, columns: Mapping[str, Sequence[object]]) -> dict[str, Sequence[object]]:
    """Return the columns, those of objects replaced by one for each key; a cell that is no object keeps its column.

    Raises DataError for a name that the table has already.
    """
    result: dict[str, Sequence[object]] = {}
    for name, cells in columns.items():
        added = _flattened(name, cells) if any(map(_is_object, cells)) else {name: cells}
        if twice := sorted(key for key in added if key in result or (key in columns and key != name)):
            raise DataError(f"{path}: the objects in {name} make a column {twice[0]!r}, which the table has already")
        result |= added
    return result


def written_out(
    path: Path, columns: Mapping[str, Sequence[object]], names: Sequence[str]
) -> dict[str, Sequence[object]]:
    """Return the columns, those called `names` read as objects that are written as text."""
    read = {name: [_read(cell) for cell in columns[name]] for name in names}
    return as_columns(path, {**columns, **read})


def _read(cell: object) -> object:
    value = structure(cell) if isinstance(cell, str) else None
    return value if isinstance(value, dict) else cell


def _is_object(cell: object) -> bool:
    if cell is None:  # most cells of many keys
        return False
    return isinstance(cell, Mapping) and not any(cell.keys() <= keys for keys in FILES)


def _flattened(name: str, cells: Sequence[object]) -> dict[str, Sequence[object]]:
    own = [cell if isinstance(cell, Mapping) and _is_object(cell) else None for cell in cells]
    keys = dict.fromkeys(key for cell in own if cell is not None for key in cell)
    if len(keys) > _MOST_KEYS:
        return {name: cells}
    others = [cell if one is None else None for cell, one in zip(cells, own, strict=True)]
    result: dict[str, Sequence[object]] = {} if all(map(is_missing, others)) else {name: others}
    for key in keys:
        values = [None if cell is None else cell.get(key) for cell in own]
        column = f"{name}.{key}"
        result.update(_flattened(column, values) if any(map(_is_object, values)) else {column: values})
        limits.check_table(len(cells), len(result), f"the objects in {name}")
    return result
