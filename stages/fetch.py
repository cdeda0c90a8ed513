"""Raw files, downloaded if missing -> their digests (data/raw.json), on which `prepare` depends."""

from pathlib import Path

from stages import run
from umemma import parameters
from umemma.data.settings import Dataset
from umemma.files import write_json
from umemma.sources import raw

CHECKSUMS = Path("conf/dataset")


def fetch(dataset: Dataset, record: Path) -> None:
    """Ensure that all raw files exist and are intact, and write their digests, without their location, to `record`."""
    raw.fetched(dataset, CHECKSUMS)
    write_json(record, {"dataset": dataset.name, "files": raw.checksums(dataset, CHECKSUMS)})


def main() -> None:
    """Read the parameters and fetch."""
    fetch(parameters.read().dataset, Path("data/raw.json"))


if __name__ == "__main__":
    run(main)
