"""Where the paths in a table start from, and how many axes its .npy files have: tried out, for `umemma init`."""

import os
from collections.abc import Iterable
from pathlib import Path

from umemma.data.sample import BadSample
from umemma.init.columns import Column
from umemma.sources.tables import paths, series
from umemma.sources.tables.cells import text

_TRIED = 20  # files of a column
_MOST_FOLDERS = 200


def start(file: Path, root: Path, columns: Iterable[Column]) -> Path:
    """Return the folder that the paths start from: the table's, or else the one below the root where most are found."""
    named = [text(cell) for column in columns if column.path_kind for cell in column.filled[:_TRIED]]

    def hits(folder: Path) -> int:
        return sum(os.path.exists(folder / path) for path in named if "\0" not in path)

    if not named or hits(file.parent):
        return file.parent
    below = sorted(column for column in (*root.glob("*"), *root.glob("*/*")) if column.is_dir())[:_MOST_FOLDERS]
    best = max([root, *below], key=hits)
    return best if hits(best) else file.parent


def num_axes(column: Column, base: Path, root: Path) -> int | None:
    """Return how many axes the first .npy file of a column that can be read has."""
    for cell in column.filled[:_TRIED]:
        try:
            content = paths.content(text(cell), base, paths.real_roots(root, ()))
            return series.num_axes(text(cell), content)
        except BadSample:  # the survey counts those; here another one will do
            continue
    return None
