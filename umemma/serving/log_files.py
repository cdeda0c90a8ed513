"""Names of the files of a log: when each was written, so that old ones need not be opened."""

import os
from datetime import UTC, datetime
from pathlib import Path

SUFFIX = ".parquet"
_WRITTEN = "%Y%m%dT%H%M%S.%fZ"


def name(number: int) -> str:
    """Return the name of a file written now, the `number`-th of this process."""
    return f"{datetime.now(UTC):{_WRITTEN}}-{os.getpid()}-{number:06d}{SUFFIX}"


def written_at(path: Path) -> datetime | None:
    """Return when a file was written, which is after all that it holds; None of one that was named by someone else."""
    try:
        return datetime.strptime(path.name.partition("-")[0], _WRITTEN).replace(tzinfo=UTC)
    except ValueError:
        return None
