"""Raw data that a person may change at any time -> what they are now (data/watched.json), which `prepare` depends on.

DVC runs this stage every time, for the data sets that ask for it (`dataset.watch`), and the others only if its output
has changed. It is a stage and no dependency of DVC's own because which files there are stands in the table itself, and
because they may lie outside of the project.
"""

from pathlib import Path

from stages import run
from umemma import parameters
from umemma.data.settings import Dataset
from umemma.files import write_json
from umemma.sources import build, changes, raw


def watch(dataset: Dataset, record: Path) -> None:
    """Write the digests of the data set's raw data; `record` does not say where they lie."""
    root = raw.root(dataset)
    state = changes.state(build.built(dataset, root), root.resolve())
    write_json(record, {"dataset": dataset.name, **state})
    print(f"{dataset.name}: {', '.join(state['lists'])} and {state['files']} files")  # type: ignore[arg-type]


def main() -> None:
    """Read the parameters and look."""
    watch(parameters.read().dataset, Path("data/watched.json"))


if __name__ == "__main__":
    run(main)
