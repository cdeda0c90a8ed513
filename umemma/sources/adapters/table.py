r"""Your own data: a CSV, TSV, Parquet or JSON-lines file with a row per sample. `umemma init` writes its configuration.

`dataset.root` is the folder of the data. The first three of `dataset.options` are required:

- `file`: the table, relative to the root.
- `label`: the column of the label or labels; or one column of 0 and 1 for each class (`tables/labels.py`).
- `modalities`: {name: {column or columns, kind, ...}}, the columns of each modality (`tables/sources.py`).
- `separator` of several labels in one cell, default "|"; `unlabelled`, for an empty multi-label cell: `reject` the
  row, or `none` of the classes applies. `one_hot`: whether a cell is a list of 0 and 1 in the order of the classes.
- `spellings`: `exact`, `form` or `case`, which spellings of a label are one class (`tables/spelling.py`). `relabel`:
  {class as written: another class, or null to leave its rows out}.
- `key`: the column that identifies a sample. Null: a hash of the row's content.
- `group`: the column whose values must not be in two splits; a row with an empty cell is a group of its own.
- `split`: the column of train (training), val (valid, validation, dev) and test (testing). `shares`: the splits to
  draw by `seed` (`tables/splits.py`), without a split column {train: 0.7, val: 0.15, test: 0.15} by default. With a
  split column, they are drawn from its train rows: {val: 0.15}.
- `duplicate_keys`: `error`, or `first`: keep only the first of the rows with the same key.
- `missing`: spellings of a missing value besides an empty cell, in any case (`tables/cells.py`).
- `delimiter`, `quote`, `escape`, `header`, `skip`, `comment`, `encoding`, `sheet`: how a table is written (`tables/file.py`).
- `windows`: series are cut into windows, each a sample: {seconds: 2.0, stride: 1.0} (`tables/windows.py`).
- `columns`: how the cells of a column are read: {column: {type: ...}} (`tables/readings.py`).
- `missing_files`: `error`, or `hole`: a named file that does not exist is a missing modality, not a damaged sample.
- `media_root`: the folder that paths are relative to, itself relative to the root; null: the table's folder.
  `other_roots`: absolute folders, besides the root, that paths may lead to (`tables/paths.py`).

An unusable row is in `rejected` (`tables/rows.py`). Media are opened only in `sample`; a named file that is missing or
invalid makes a BadSample. A shard's key cannot contain a dot or slash: they are percent-encoded, `%2E` for a dot, and
`urllib.parse.unquote` decodes them.

**When the data change.** `dvc repro` runs stage `watch` every time. It hashes the table, and path, size and
modification time of every file that the table names. So an edited table, or a file added, replaced or removed, makes
`prepare` run again; if the shards come out the same, as when only an unused column was edited, later stages do not run.
A file replaced by one of the same size and time goes unnoticed: `dvc repro --force prepare`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from umemma.data.sample import SPLITS, BadSample, Sample
from umemma.errors import DataError, ParameterError, unknown
from umemma.sources.tables import file as table_file
from umemma.sources.tables import paths, rows
from umemma.sources.tables.cells import MISSING, words_for_holes
from umemma.sources.tables.labels import Labels
from umemma.sources.tables.members import Folders, Members
from umemma.sources.tables.readings import readings, with_objects
from umemma.sources.tables.sources import source
from umemma.sources.tables.windows import Members as Parts
from umemma.sources.tables.windows import cut

MISSING_FILES = ("error", "hole")


def inputs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `options` say of a row's cells, for a model that answers new rows: `umemma.serving.folder.Inputs`."""
    dialect = ("delimiter", "quote", "escape", "header", "skip", "comment", "encoding", "sheet")
    label = options["label"]
    known = [*([label] if isinstance(label, str) else label), options.get("split")]
    return {
        "key": options.get("key"),
        "group": options.get("group"),
        "known": [column for column in known if column is not None],
        "modalities": options["modalities"],
        "columns": options.get("columns") or {},
        "missing": list(options.get("missing", MISSING)),
        "dialect": {name: options[name] for name in dialect if name in options},
        "windows": options.get("windows"),
    }


class Adapter:
    """Random access to the samples of a table. Raises DataError or ParameterError if it is invalid.

    `classes` and `task` are those of the data set. `lists` are the files read here, `inputs()` those read by `sample`;
    `rows` and `members` give access to single rows.
    """

    def __init__(
        self,
        root: Path,
        *,
        classes: Sequence[str],
        task: Literal["single_label", "multi_label"],
        file: str,
        label: str | Sequence[str],
        modalities: Mapping[str, object],
        separator: str = "|",
        unlabelled: str = "reject",
        spellings: str = "form",
        relabel: Mapping[str, str | None] | None = None,
        one_hot: bool = False,
        key: str | None = None,
        group: str | None = None,
        split: str | None = None,
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        duplicate_keys: str = "error",
        missing: Sequence[str] = MISSING,
        delimiter: str | None = None,
        quote: str | None = '"',
        escape: str | None = None,
        header: bool = True,
        skip: int = 0,
        comment: str | None = None,
        encoding: str = "utf-8",
        sheet: str | None = None,
        media_root: str | None = None,
        other_roots: Sequence[str] = (),
        columns: Mapping[str, object] | None = None,
        missing_files: str = "error",
        windows: Mapping[str, object] | None = None,
    ) -> None:
        if missing_files not in MISSING_FILES:
            raise ParameterError(unknown("dataset.options.missing_files", "choice", missing_files, MISSING_FILES))
        for name, given, kind in (
            ("modalities", modalities, Mapping),
            ("shares", shares or {}, Mapping),
            ("relabel", relabel or {}, Mapping),
            ("columns", columns or {}, Mapping),
            ("missing", missing, list | tuple),
        ):
            if not isinstance(given, kind):
                raise ParameterError(
                    f"dataset.options.{name} must be a {'mapping' if kind is Mapping else 'list'}, not {given!r}"
                )
        holes = words_for_holes(missing)
        labels = Labels(
            label,
            classes,
            task,
            separator=separator,
            unlabelled=unlabelled,
            missing=holes,
            spellings=spellings,
            relabel=relabel,
            is_one_hot=one_hot,
        )
        sources = {name: source(name, entry) for name, entry in modalities.items()}
        roots = paths.real_roots(root, other_roots)
        path = _table_path(root, file, roots)
        dialect = table_file.Dialect(delimiter, quote, escape, header, skip, comment, encoding, sheet)
        column_readings = readings(columns or {})
        table = with_objects(table_file.read(path, dialect), column_readings)
        folders = Folders(path.parent if media_root is None else root / media_root, roots)
        self.members = Members(
            table, sources, folders, holes, column_readings, dead_links_are_holes=missing_files == "hole"
        )
        self._names = rows.named(table, self.members, key=key, group=group, split=split, missing=holes)
        self.rows = rows.read(table, self.members, self._names, labels, duplicate_keys)
        rows.draw_splits(table, self.members, self.rows, self._names, shares=shares, seed=seed)
        self._of_split = {
            name: [row for row, row_split in self.rows.split.items() if row_split == name] for name in SPLITS
        }
        self._cut = None if windows is None else cut(windows, sources)
        self._last: tuple[int, Parts] | None = None  # a row's members, as its windows follow each other
        self.modalities, self.classes, self.lists = tuple(sources), tuple(classes), (path, *self.members.tables())
        self.rejected = tuple(self.rows.rejected)
        self._may_lack_files = missing_files == "hole"

    def sample(self, split: str, index: int) -> Sample:
        """Make sample `index` of `split` from its files. Raises BadSample if one of them is unusable."""
        row, window = self._samples[split][index]
        key = rows.escaped(self._names.key[row]) + ("" if self._cut is None else f"-{window:05d}")
        try:
            members = self._members(row)
        except BadSample as error:
            raise BadSample(error.file, error.reason, key) from error
        if self._cut is not None:
            members = self._cut(members, window)
        files = {member: file for name, (member, _) in members.items() if (file := self.members.file(name, row))}
        return Sample(
            key=key,
            split=split,
            label=self.rows.label[row],
            group=self._names.group[row],
            members=dict(members.values()),
            files=files,
            dropped=dict(self.members.dropped.get(row, {}))
            | {f"{name}: its file does not exist": 1 for name in self._dead_links(row)},
        )

    @property
    def num_samples(self) -> Mapping[str, int]:
        """How many samples each split has. Of windows they are counted when first asked for: all files are read."""
        return {split: len(samples) for split, samples in self._samples.items()}

    @cached_property
    def _samples(self) -> dict[str, list[tuple[int, int]]]:
        """For each split (row, window) of every sample."""
        return {
            split: [(row, window) for row in rows_of_split for window in range(self._num_windows(row))]
            for split, rows_of_split in self._of_split.items()
        }

    def _num_windows(self, row: int) -> int:
        if self._cut is None:
            return 1
        try:
            return self._cut.num_windows(self._members(row))
        except BadSample:  # `sample` raises it again, and the sample is counted
            return 1

    def _members(self, row: int) -> Parts:
        if self._last is None or self._last[0] != row:
            self._last = (
                row,
                {name: self.members.member(name, row) for name in self.modalities if self.members.has(name, row)},
            )
        return self._last[1]

    def _dead_links(self, row: int) -> list[str]:
        return (
            [name for name in self.modalities if self.members.is_dead_link(name, row)] if self._may_lack_files else []
        )

    def inputs(self) -> Iterator[Path]:
        """Yield once each file that `sample` may read, whether or not it exists."""
        return self.members.files(self.rows.split)


def _table_path(root: Path, file: str, roots: Sequence[Path]) -> Path:
    if not root.is_dir():
        raise DataError(
            f"{root} is no folder; dataset.root, or else the variable UMEMMA_DATA, names the folder that contains {file}"
        )
    try:
        paths.located(file, root, roots)
    except BadSample as error:
        raise ParameterError(f"dataset.options.file: {error}") from error
    return root / file
