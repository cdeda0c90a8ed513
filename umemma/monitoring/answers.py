"""What was answered: the log of `umemma serve --log`, or the file of `umemma predict --output`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from umemma.errors import DataError, ParameterError, some
from umemma.monitoring.samples import Answered, confidence
from umemma.serving import log_files
from umemma.serving.answer import PROBABILITY, SEPARATOR, identifier
from umemma.serving.folder import Facts
from umemma.serving.output import as_it_was
from umemma.serving.summary import columns

_TEXTS = ("id", "key", "predicted", "used", "rejected")
_SINCE = re.compile(r"(\d+)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Answers:
    """Rows in the order of their files.

    present    (row, modality) bool: what they were answered from
    summaries  {modality: (row, statistic)}, NaN where it was not used; without the modality if none were kept
    rejected   {modality: how often it was there and could not be used}
    remarks    what was left out, in sentences
    times      first and last; None of a file without times
    """

    present: np.ndarray
    answered: Answered
    ids: np.ndarray
    keys: np.ndarray
    summaries: dict[str, np.ndarray]
    rejected: dict[str, int]
    times: tuple[datetime, datetime] | None
    remarks: tuple[str, ...]


def read(source: Path, facts: Facts, digest: str, *, most: int, since: datetime | None = None) -> Answers:
    """Read the answers of the model `digest`, at most so many, of more every n-th.

    Raises DataError if there are none, or the columns are another model's.
    """
    tables, remarks = _tables(source, facts, since)
    table = pa.concat_tables(tables, promote_options="permissive")
    if since is not None:
        table = table.filter(compute.greater_equal(table["time"], pa.scalar(since, table["time"].type)))
    table = _of_model(table, source, digest, remarks)
    if not len(table):
        raise DataError(f"{source} has no answers{_when(since)}")
    times = None
    if "time" in table.column_names:
        ends = compute.min_max(table["time"]).as_py()
        times = ends["min"], ends["max"]
    if (step := -(-len(table) // most)) > 1:
        remarks.append(f"of {len(table):,} answers every {step}. is compared (--rows)")
        table = table.take(np.arange(0, len(table), step))
    return _answers(table, facts, times, remarks)


def _of_model(table: pa.Table, source: Path, digest: str, remarks: list[str]) -> pa.Table:
    """Return the answers of the model; those of others are counted in the remarks."""
    own = compute.starts_with(table["id"], identifier(digest, ""))
    others = Counter(text.partition("-")[0] for text in table["id"].filter(compute.invert(own)).to_pylist())
    if others and others.total() == len(table):
        raise DataError(
            f"{source} has no answers of model {digest[:12]}, but of {some(others)}: give --model its folder"
        )
    if others:
        remarks.append(f"{others.total():,} answers of other models ({some(others)}) are left out")
    return table.filter(own)


def _when(since: datetime | None) -> str:
    return "" if since is None else f" since {since:%Y-%m-%d %H:%M} UTC"


def since(written: str, now: datetime) -> datetime:
    """Return the beginning that `24h`, `7d`, `2026-11-26` or `2026-11-26T10:00` means; without a zone in UTC."""
    try:
        if found := _SINCE.fullmatch(written.strip()):
            return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
        value = datetime.fromisoformat(written)
    except (ValueError, OverflowError) as error:
        raise ParameterError(
            f"--since {written!r} is no time: write 24h, 7d, 2026-11-26 or 2026-11-26T10:00"
        ) from error
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _tables(source: Path, facts: Facts, since: datetime | None) -> tuple[list[pa.Table], list[str]]:
    if not source.exists():
        raise DataError(f"{source} does not exist; `umemma serve MODEL --log {source}` would write it")
    paths = sorted(source.glob(f"*{log_files.SUFFIX}")) if source.is_dir() else [source]
    if since is not None:
        paths = [path for path in paths if (log_files.written_at(path) or since) >= since]
    tables, broken = [], []
    for path in paths:
        try:
            table = _table(path)
        except (pa.ArrowException, OSError, ValueError) as error:
            broken.append(f"{path.name} ({str(error).splitlines()[0]})")
            continue
        tables.append(_checked(table, path, facts, since))
    if not tables:
        raise DataError(
            f"{source} has no answers{_when(since)}" + (f"; not readable: {some(broken, 3)}" if broken else "")
        )
    return tables, [f"{len(broken)} files cannot be read and are left out: {some(broken, 3)}"] if broken else []


def _table(path: Path) -> pa.Table:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return parquet.read_table(path)
    if suffix not in (".csv", ".tsv"):
        raise DataError(f"{path} is no .parquet, .csv or .tsv file of answers")
    texts = dict.fromkeys(_TEXTS, str)
    frame = pd.read_csv(path, sep="\t" if suffix == ".tsv" else ",", dtype=texts, keep_default_na=False)
    for name in texts.keys() & set(frame.columns):
        frame[name] = [as_it_was(cell) for cell in frame[name]]
    return pa.Table.from_pandas(frame, preserve_index=False)


def _checked(table: pa.Table, path: Path, facts: Facts, since: datetime | None) -> pa.Table:
    """Return the columns that are read. Raises DataError for one that is not there."""
    needed = [*_TEXTS, *(f"{PROBABILITY}{name}" for name in facts.classes), *(["time"] if since is not None else [])]
    if lacking := [name for name in needed if name not in table.column_names]:
        advice = "; --since needs the log of a server" if lacking == ["time"] else ""
        raise DataError(
            f"{path} has no column {some(lacking)}: it holds no answers of this model, `{facts.dataset}, {facts.arm}`{advice}"
        )
    kept = [column for name in facts.modalities for column in columns(name)]
    return table.select(
        [*needed, *(name for name in ("time", *kept) if name in table.column_names and name not in needed)]
    )


def _answers(table: pa.Table, facts: Facts, times: tuple[datetime, datetime] | None, remarks: Sequence[str]) -> Answers:
    used = [set(text.split("+")) if text else set() for text in table["used"].to_pylist()]
    rejected = Counter(
        name
        for text in table["rejected"].to_pylist()
        for name in facts.modalities
        if text and f"{SEPARATOR}{name}: " in f"{SEPARATOR}{text}"
    )
    probability = np.stack([_numbers(table, f"{PROBABILITY}{name}") for name in facts.classes], axis=1)
    decided = _decided(table["predicted"].to_pylist(), facts)
    return Answers(
        present=np.array([[name in names for name in facts.modalities] for names in used], dtype=bool),
        answered=Answered(decided, confidence(probability, decided, several=facts.task == "multi_label")),
        ids=np.array(table["id"].to_pylist(), dtype=str),
        keys=np.array(table["key"].to_pylist(), dtype=str),
        summaries={
            name: np.stack([_numbers(table, column) for column in columns(name)], axis=1)
            for name in facts.modalities
            if set(columns(name)) <= set(table.column_names)
        },
        rejected=dict(rejected),
        times=times,
        remarks=tuple(remarks),
    )


def _numbers(table: pa.Table, column: str) -> Any:
    return table[column].to_numpy(zero_copy_only=False).astype(float)


def _decided(predicted: Sequence[str], facts: Facts) -> np.ndarray:
    number = {name: one for one, name in enumerate(facts.classes)}
    decided = np.zeros((len(predicted), len(number)), dtype=bool)
    for row, text in enumerate(predicted):
        names = [text] if facts.task == "single_label" else text.split(SEPARATOR) if text else []
        for name in names:
            if name not in number:
                raise DataError(f"{text!r} is predicted, and the model's classes are {some(facts.classes, 10)}")
            decided[row, number[name]] = True
    return decided
