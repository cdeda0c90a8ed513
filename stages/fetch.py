"""Raw files, downloaded where they are not at hand -> what they are (data/raw.json), which `prepare` depends on."""

from pathlib import Path

from stages import run
from umemma import parameters
from umemma.data.settings import Dataset
from umemma.files import write_json
from umemma.sources import raw

CHECKSUMS = Path("conf/dataset")


def fetch(dataset: Dataset, record: Path) -> None:
    """See that every raw file is there and right, and write their digests; `record` does not say where they lie."""
    raw.fetched(dataset, CHECKSUMS)
    write_json(record, {"dataset": dataset.name, "files": raw.checksums(dataset, CHECKSUMS)})


def main() -> None:
    """Read the parameters and fetch."""
    fetch(parameters.read().dataset, Path("data/raw.json"))


if __name__ == "__main__":
    run(main)
