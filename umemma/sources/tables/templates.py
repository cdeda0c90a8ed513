"""Builds the path of a row's file from its cells: `images/{}.jpg`, `{split}/{label}/{}.wav`, `photos/{:name}`.

`{}` is the cell of the modality's own column, `{column}` that of another. After a colon stands `name` (the last part of
a path or address, without what follows a `?`), `stem` (the same without its suffix), or how Python pads text: `0>5`
makes 00017 of 17.
"""

from collections.abc import Callable, Mapping
from string import Formatter
from urllib.parse import unquote

from umemma.data.sample import BadSample
from umemma.errors import ParameterError
from umemma.sources.tables.cells import is_missing, text

OWN = "{}"


def last_part(path: str) -> str:
    """Return the last part of a path or an address, percent signs decoded: `https://x.org/a/b%20c.jpg?v=1` -> `b c.jpg`."""
    plain = path.strip().replace("\\", "/")
    if "://" in plain:
        plain = unquote(plain.split("?", 1)[0].split("#", 1)[0])
    return plain.rstrip("/").rsplit("/", 1)[-1]


def stem(path: str) -> str:
    """Return the last part of a path without its suffix."""
    name = last_part(path)
    return name.rsplit(".", 1)[0] if "." in name.strip(".") else name


_PARTS: Mapping[str, Callable[[str], str]] = {"name": last_part, "stem": stem}


class Template:
    """A path with places for cells; `columns` are the columns that it names, '' for the modality's own."""

    def __init__(self, written: object, where: str) -> None:
        try:
            self._parts = [(before, name, spec or "") for before, name, spec, _ in Formatter().parse(str(written))]
            for _, _, spec in self._parts:
                if spec not in _PARTS:
                    format("", spec)
        except ValueError as error:
            raise ParameterError(f"{where}: {written!r} is no path with {{}} for the cell: {error}") from error
        self.columns = {name for _, name, _ in self._parts if name is not None}
        if not self.columns:
            raise ParameterError(f"{where}: {written!r} has no {{}}, so every row would have the same file")

    def __call__(self, cells: Mapping[str, object], place: str) -> str:
        """Return the path of a row. Raises BadSample if a cell that it needs is empty."""
        path = ""
        for before, name, spec in self._parts:
            path += before
            if name is not None:
                if is_missing(cells[name]):
                    raise BadSample(place, f"the path cannot be built: {name} is empty")
                value = text(cells[name])
                path += _PARTS[spec](value) if spec in _PARTS else format(value, spec)
        return path
