r"""Finds the file that a path means that was written elsewhere: on Windows, in a browser, in another folder.

What is tried, in this order, and the first that is there is taken:

- the path as it stands, stripped of blanks at its ends; then with percent signs decoded (`a%20b.jpg`),
- with `\` for `/`, and without `file://`, `~/`, `C:\` or `/` at its start,
- of a path that was absolute or an address, ever shorter ends: `C:\data\img\1.jpg` is `data/img/1.jpg`, `img/1.jpg` or
  `1.jpg`, whichever is there,
- each of them in any case, and however Unicode composes its letters (a Mac's `é` is two characters).

Two files that differ in case alone are no match: which is meant cannot be known.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from umemma.data.sample import BadSample
from umemma.errors import some

_START = re.compile(r"^(?:[A-Za-z][\w+.-]+://(?:[^/]*(?=/))?|[A-Za-z]:(?=/)|~(?=/))")


class Matching:
    """Matches paths relative to one folder; a folder is listed once."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._listings: dict[Path, dict[str, list[str]]] = {}

    def __call__(self, named: str) -> str:
        """Return the path, relative to the folder, of the file that is meant; `named` itself if there is none.

        Raises BadSample if it could be more than one.
        """
        if "\0" in named or os.path.isfile(self._base / named):
            return named
        for parts in _meant(named):
            if found := self._found(parts, named):
                return found
        return named

    def _found(self, parts: tuple[str, ...], named: str) -> str | None:
        folder, path = self._base, []
        for part in parts:
            if part == "..":
                name: str | None = part
            elif not (names := self._listing(folder).get(_folded(part), [])):
                return None
            elif part in names or len(names) == 1:
                name = part if part in names else names[0]
            else:
                raise BadSample(named, f"could be any of {some(names)}, which differ in case alone")
            path.append(name)
            folder = folder / str(name)
        return "/".join(map(str, path)) if folder.is_file() else None

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                names = os.listdir(folder)
            except OSError:  # no folder, or none that may be read: nothing is found in it
                names = []
            for name in sorted(names):
                listing.setdefault(_folded(name), []).append(name)
            self._listings[folder] = listing
        return self._listings[folder]


def _meant(named: str) -> Iterator[tuple[str, ...]]:
    """Yield the parts of the paths that may be meant, the most literal first."""
    for written in dict.fromkeys((named.strip(), unquote(named.strip()))):
        plain = written.replace("\\", "/")
        is_address = "://" in plain
        relative = _START.sub("", plain)
        if is_address:
            relative = relative.split("?", 1)[0].split("#", 1)[0]
        parts = tuple(part for part in relative.split("/") if part not in ("", "."))
        if not parts:
            continue
        yield parts
        if relative != plain or plain.startswith("/"):
            yield from (parts[start:] for start in range(1, len(parts)))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
