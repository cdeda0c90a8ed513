"""Raw data that the user may change at any time -> their digests (data/watched.json), on which `prepare` depends.

DVC always runs this stage for data sets with `dataset.watch`, and later stages only if its output has changed. It is a
stage rather than a dependency in dvc.yaml because the table itself lists the files, and because they may be outside of
the project.
"""

from pathlib import Path

from stages import run
from umemma import limits, parameters
from umemma.data.settings import Dataset
from umemma.files import write_json
from umemma.sources import build, changes, raw


def watch(dataset: Dataset, record: Path) -> None:
    """Write the digests of the data set's raw data; `record` does not contain their location."""
    root = raw.root(dataset)
    state = changes.state(build.built(dataset, root), root.resolve())
    write_json(record, {"dataset": dataset.name, **state})
    print(f"{dataset.name}: {', '.join(state['lists'])} and {state['files']} files")  # type: ignore[arg-type]


def main() -> None:
    """Read the parameters and write the digests."""
    settings = parameters.read()
    limits.use(settings.limits)
    watch(settings.dataset, Path("data/watched.json"))


if __name__ == "__main__":
    run(main)
