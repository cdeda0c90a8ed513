"""Probes files for `umemma init`: the folder that a table's paths are relative to, the number of axes of .npy files."""

import os
from collections.abc import Iterable
from pathlib import Path

from umemma.data.sample import BadSample
from umemma.init.columns import Column
from umemma.sources.tables import paths, series
from umemma.sources.tables.cells import text

_NEARLY_ALL = 0.9  # of the files; those of several folders are found one by one (`names`)
_TRIED = 20  # files of a column
_MOST_FOLDERS = 200


def start(file: Path, root: Path, columns: Iterable[Column]) -> Path:
    """Return the folder that paths are relative to: the table's, else the one below the root where nearly all exist."""
    named = [text(cell) for column in columns if column.path_kind for cell in column.filled[:_TRIED]]

    def hits(folder: Path) -> int:
        return sum(os.path.exists(folder / path) for path in named if "\0" not in path)

    if not named or hits(file.parent):
        return file.parent
    below = sorted(column for column in (*root.glob("*"), *root.glob("*/*")) if column.is_dir())[:_MOST_FOLDERS]
    best = max([root, *below], key=hits)
    return best if hits(best) > _NEARLY_ALL * len(named) else file.parent


def num_axes(column: Column, base: Path, root: Path) -> int | None:
    """Return the number of axes of a column's first readable .npy file."""
    for cell in column.filled[:_TRIED]:
        try:
            content = paths.content(text(cell), base, paths.real_roots(root, ()))
            return series.array(text(cell), content).ndim
        except BadSample:  # the survey counts unreadable files; try the next
            continue
    return None
