"""Guesses for `umemma init`: which columns name files, once a folder, a suffix or another spelling is added.

Cells are compared with the files below the root: as paths, as paths that were written elsewhere
(`sources/tables/matching.py`), as names and as names without their suffix (`image_id`: ISIC_0024306), also padded with
zeros. The folders in which files are found become the entry's `path`; a folder that is called as another cell of the
same row - a class, a split - becomes `{column}`. One column may name files of several kinds: 17.jpg and 17.wav.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from umemma.data.sample import BadSample
from umemma.init.columns import Column
from umemma.media import formats
from umemma.sources.tables.cells import text
from umemma.sources.tables.matching import Matching
from umemma.sources.tables.sources import SUFFIXES
from umemma.sources.tables.templates import OWN, Template, last_part, stem

_MOST_FILES = 300_000
_FIRST_BYTES = 1024
_TRIED = 60  # cells of a column
_GOLDEN = (5**0.5 - 1) / 2  # its multiples, less their whole parts, are spread evenly
_LEAST_SHARE = 0.5  # of the cells tried whose files are found
_SURE_SHARE = 0.9  # of cells that are numbers: an age may happen to be the name of a file
_MOST_TEMPLATES = 10
_KINDS = {suffix: kind for kind, suffixes in SUFFIXES.items() for suffix in suffixes}
_MEDIA = ("image", "audio", "video")


class Files:
    """The files below a root that could be media, but for the table itself; hidden folders are left out."""

    def __init__(self, root: Path, table: Path) -> None:
        self.root = root
        self.by_name: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        self.is_whole = True
        for number, path in enumerate(_walk(root)):
            if number >= _MOST_FILES:
                self.is_whole = False
                break
            if _kind(path) and root / path != table:
                self.by_name.setdefault(path.rsplit("/", 1)[-1].casefold(), []).append(path)
                self.by_stem.setdefault(stem(path).casefold(), []).append(path)

    def unnamed(self, named: Collection[str]) -> dict[str, int]:
        """Return how many media files lie in folders of which none of the files `named` is."""
        folders = {str(PurePosixPath(path).parent) for path in named}
        every = (path for paths in self.by_name.values() for path in paths if _kind(path) in _MEDIA)
        counts = Counter(str(PurePosixPath(path).parent) for path in every)
        return {folder: count for folder, count in counts.items() if folder not in folders}


@dataclass(frozen=True)
class Naming:
    """The files of one kind that a column names: `entry` holds `path` and `match` where they are needed.

    `files` are those of the cells that were tried, relative to the root; `said` is a sentence, '' if nothing was guessed.
    """

    kind: str
    entry: Mapping[str, object]
    files: frozenset[str]
    said: str


def namings(column: Column, table: Mapping[str, Column], base: Path, files: Files) -> list[Naming]:
    """Return the kinds of files that a column names, the most frequent first; `base` is where paths start."""
    rows = _tried(column)
    if not rows or column.holds_lists or column.holds_files:
        return []
    cells = {row: text(cell) for row, cell in rows.items() if len(text(cell)) < 1000 and "\n" not in text(cell)}
    if (column.are_mostly_numbers and not column.is_unique) or (column.are_numbers and not column.are_whole):
        return []
    as_paths = _as_paths(column, cells, base, files.root)
    if as_paths and len(as_paths[0].files) > _SURE_SHARE * len(set(cells.values())):
        return as_paths
    return max(
        as_paths, _below(column, cells, table, base, files), key=lambda found: len(found[0].files) if found else 0
    )


def _as_paths(column: Column, cells: Mapping[int, str], base: Path, root: Path) -> list[Naming]:
    """Return how the cells name files as paths, as they stand or as written elsewhere."""
    matching = Matching(base)
    exact, loose = 0, list[str]()
    for cell in cells.values():
        exact += "\0" not in cell and _is_file(base / cell)
        try:
            matched = matching(cell)
        except BadSample:
            continue
        if "\0" not in matched and _is_file(base / matched):
            loose.append(matched)
    kinds = Counter(_kind(path) or _kind_of_content(base / path) for path in loose)
    if len(loose) < _least(column) * len(cells) or not kinds:
        return []
    kind, _ = kinds.most_common(1)[0]
    if kind is None:
        return []
    entry = {} if exact == len(loose) else {"match": "loose"}
    said = (
        ""
        if not entry
        else (
            f"{len(loose) - exact} of {len(cells)} paths looked at are written another way than their files are called; they are "
            "matched (match: loose)"
        )
    )
    return [Naming(kind, entry, frozenset(os.path.relpath(base / path, root) for path in loose), said)]


def _below(
    column: Column, cells: Mapping[int, str], table: Mapping[str, Column], base: Path, files: Files
) -> list[Naming]:
    """Return the templates of paths under which the cells name files somewhere below the root."""
    found: dict[str, Counter[str]] = {}
    hits: dict[str, dict[str, set[int]]] = {}
    paths: dict[str, dict[int, str]] = {}
    others = {
        other.name: other for other in table.values() if other.name != column.name and 1 < len(other.counts) <= 200
    }
    for row, cell in cells.items():
        for path, form in _candidates(cell, files):
            kind = _KINDS[PurePosixPath(path).suffix.lower().removeprefix(".")]
            paths.setdefault(kind, {})[row] = path
            folder = os.path.relpath((files.root / path).parent, base)
            for template in _templates(folder, form, row, others):
                found.setdefault(kind, Counter())[template] += 1
                hits.setdefault(kind, {}).setdefault(template, set()).add(row)
    results = []
    for kind, counts in found.items():
        chosen, covered = _cover(counts, hits[kind])
        share = len(covered) / len(cells)
        if len(covered) >= 2 and share >= _least(column):
            entry: dict[str, object] = {} if chosen == [OWN] else {"path": chosen[0] if len(chosen) == 1 else chosen}
            if not all(_names_exactly(chosen, cells[row], row, others, base) for row in covered):
                entry["match"] = "loose"
            said = f"its cells name files as {' or '.join(chosen)} ({len(covered)} of {len(cells)} looked at)"
            results.append(Naming(kind, entry, frozenset(paths[kind][row] for row in covered), said))
    return sorted(results, key=lambda naming: -len(naming.files))


def _names_exactly(templates: Sequence[str], cell: str, row: int, others: Mapping[str, Column], base: Path) -> bool:
    values = {"": cell} | {name: other.cell(row) for name, other in others.items()}
    return any(
        _is_file(base / Template(template, "path")(values, "")) for template in templates if _has(template, values)
    )


def _has(template: str, values: Mapping[str, object]) -> bool:
    return all(values[name] is not None for name in Template(template, "path").columns)


def _candidates(cell: str, files: Files) -> Iterator[tuple[str, str]]:
    """Yield (path, form) of the files that a cell may name; the form is the last part of a template."""
    name = last_part(cell)
    own = "" if name == cell else ":name"
    for path in files.by_name.get(name.casefold(), ()):
        yield path, f"{{{own}}}"
    if files.by_name.get(name.casefold()):
        return
    for key, spec in ((name, own), (stem(cell), ":stem"), *_padded(name, files)):
        for path in files.by_stem.get(key.casefold(), ()):
            yield path, f"{{{spec}}}{PurePosixPath(path).suffix}"
        if files.by_stem.get(key.casefold()):
            return


def _padded(name: str, files: Files) -> list[tuple[str, str]]:
    """Return a number padded with zeros to the widths that names of files have."""
    if not name.isdecimal():
        return []
    return [
        (name.zfill(width), f":0>{width}") for width in range(len(name) + 1, 13) if name.zfill(width) in files.by_stem
    ]


def _templates(folder: str, form: str, row: int, others: Mapping[str, Column]) -> Iterator[str]:
    """Yield the template with the folder as it is, and with parts of it that other cells of the row say."""
    yield form if folder == "." else f"{folder}/{form}"
    parts = folder.split("/")
    for other in others.values():
        value = other.cell(row)
        if value is not None and text(value) in parts and "{" not in other.name and "}" not in other.name:
            yield "/".join(f"{{{other.name}}}" if part == text(value) else part for part in parts) + f"/{form}"


def _cover(counts: Mapping[str, int], hits: Mapping[str, set[int]]) -> tuple[list[str], set[int]]:
    """Return the fewest templates, greedily, that name the files of most rows."""
    chosen: list[str] = []
    covered: set[int] = set()
    while len(chosen) < _MOST_TEMPLATES:
        best = max(hits, key=lambda template: (len(hits[template] - covered), -template.count("{"), -counts[template]))
        if not hits[best] - covered:
            break
        chosen.append(best)
        covered |= hits[best]
    return chosen, covered


def _tried(column: Column) -> dict[int, object]:
    """Return non-missing cells by row, spread over the table: of columns with other holes mostly the same rows."""
    rows = np.flatnonzero(column.present)
    chosen = np.sort(np.argsort(rows * _GOLDEN % 1, kind="stable")[:_TRIED])
    return {int(rows[place]): column.filled[place] for place in chosen}


def _least(column: Column) -> float:
    return _SURE_SHARE if column.are_mostly_numbers else _LEAST_SHARE


def _kind(path: str) -> str | None:
    return _KINDS.get(PurePosixPath(path).suffix.lower().removeprefix("."))


def _kind_of_content(path: Path) -> str | None:
    """Return the kind of a file whose name has no suffix, or one that says nothing, by its first bytes."""
    try:
        with path.open("rb") as file:
            return formats.kind_of(file.read(_FIRST_BYTES))
    except OSError:  # it may not be read: the survey says so if another column's kind is found
        return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = os.path.relpath(folder, root)
        yield from (name if relative == "." else f"{relative}/{name}" for name in sorted(names))


def likely_root(table: Path, columns: Iterable[Column]) -> Path:
    """Return the folder that holds a table's files: its own, or the one above where only that has what the cells name."""
    named = {
        last_part(text(cell)) for column in columns if column.path_kind in _MEDIA for cell in column.filled[:_TRIED]
    }
    own, above = table.parent, table.parent.parent
    if not named or above in (own, Path.home(), Path(above.anchor)) or _holds(own, named):
        return own
    return above if _holds(above, named) else own


def _holds(folder: Path, names: Collection[str]) -> bool:
    return any(path.rsplit("/", 1)[-1] in names for path in islice(_walk(folder), _MOST_FILES))


def suffixes_not_read(column: Column) -> Sequence[str]:
    """Return the suffixes of files that the cells name although no kind of media has them; empty if they name none."""
    if column.holds_lists or column.holds_files or column.are_numbers or not column.filled:
        return []
    common = [suffix for suffix, count in column.suffixes.most_common(3) if count > 0.05 * len(column.judged)]
    usual = [suffix for suffix in common if 2 <= len(suffix) <= 5 and suffix.isalnum() and suffix[0].isalpha()]
    share = sum(column.suffixes[suffix] for suffix in usual) / len(column.judged)
    are_paths = sum("/" in str(cell) or "\\" in str(cell) or " " not in str(cell) for cell in column.judged)
    return usual if share >= 0.8 and are_paths >= 0.8 * len(column.judged) else []
