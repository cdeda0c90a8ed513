"""When an answer was given, out of the log of `umemma serve --log`: the id names the answer, the log has the events."""

from dataclasses import dataclass
from pathlib import Path

from pyarrow import ArrowException, dataset

from umemma.errors import DataError
from umemma.serving.log_files import SUFFIX


@dataclass(frozen=True)
class Served:
    """One time that it was given; `time` as ISO 8601, `request` names the request among others."""

    time: str
    request: str
    key: str
    used: str
    predicted: str


def served(folder: Path, wanted: str) -> list[Served]:
    """Return every time that the answer was given, in order. Raises DataError for what is no such log."""
    files = sorted(str(path) for path in folder.glob(f"[!.]*{SUFFIX}"))
    if not files:
        raise DataError(f"--log {folder}: no log is there, which `umemma serve --log {folder}` writes as {SUFFIX}")
    names = list(Served.__dataclass_fields__)
    try:
        rows = (
            dataset.dataset(files, format="parquet").to_table(names, filter=dataset.field("id") == wanted).to_pylist()
        )
    except (ArrowException, OSError) as error:
        raise DataError(f"--log {folder} cannot be read: {str(error).splitlines()[0]}") from error
    return sorted((Served(**row | {"time": row["time"].isoformat()}) for row in rows), key=lambda one: one.time)
