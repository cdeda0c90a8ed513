"""A description of each encoder's frozen backbone (data/features/<data set>/_frozen/<modality>.json): all that its
features depend on.

A separate stage, so that another seed, projection or learning rate recomputes no features.
"""

from pathlib import Path

from stages import run
from umemma import parameters
from umemma.data.settings import Dataset
from umemma.errors import ParameterError, SettingError
from umemma.files import write_json, written_whole
from umemma.models import frozen


def describe(dataset: Dataset, folder: Path) -> None:
    """Write a file for each modality whose backbone is frozen."""
    with written_whole(folder) as temporary:
        write_json(temporary / "_index.json", list(dataset.frozen))  # DVC warns of an empty folder
        for name in dataset.frozen:
            encoder = dataset.modalities[name].encoder
            try:
                write_json(temporary / f"{name}.json", frozen.described(encoder))
            except ParameterError as error:
                raise SettingError(f"dataset.modalities.{name}.encoder: {error}") from error
            print(f"{name}: {encoder['name']}, frozen")


def main() -> None:
    """Read the parameters and describe."""
    dataset = parameters.read().dataset
    describe(dataset, Path("data/features") / dataset.name / "_frozen")


if __name__ == "__main__":
    run(main)
