"""What each encoder's frozen part is (data/trunks/<data set>/<modality>.json): all that its features depend on.

A stage of its own so that another seed, projection or learning rate computes no features again.
"""

from pathlib import Path

from umemma import parameters
from umemma.data.settings import Dataset
from umemma.errors import ParameterError, run
from umemma.files import write_json, written_whole
from umemma.models import frozen
from umemma.settings import FILE


def describe(dataset: Dataset, folder: Path) -> None:
    """Write one file for each modality; null in it where nothing is frozen."""
    with written_whole(folder) as temporary:
        for name, modality in dataset.modalities.items():
            try:
                described = frozen.described(modality.encoder)
            except ParameterError as error:
                raise ParameterError(f"{FILE}: dataset.modalities.{name}.encoder: {error}") from error
            write_json(temporary / f"{name}.json", described)
            print(f"{name}: " + (f"{modality.encoder['name']}, frozen" if described else "no frozen trunk"))


def main() -> None:
    """Read the parameters and describe."""
    dataset = parameters.read().dataset
    describe(dataset, Path("data/trunks") / dataset.name)


if __name__ == "__main__":
    run(main)
