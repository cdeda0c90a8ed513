"""The model of an arm that trains encoders -> heads of every kind on these encoders (data/heads), what `reference` has of the towers.

So its failure, too, can be split into that of the encoders, of the family of heads, and of the adaptation. Of arms that
leave the towers as they are `reference` says all, and early fusion has no features of one modality: nothing is written.
"""

from pathlib import Path

from stages import NAMES, run
from umemma import parameters
from umemma.files import write_json, written_whole
from umemma.training.arms import ARMS

FOLDER = Path("data/heads")


def main() -> None:
    """Train them, from where a killed run was; write their predictions on validation and test data."""
    settings = parameters.read()
    if ARMS[settings.arm].is_on_towers:  # most runs: not worth the import of torch
        write_none()
        return
    from stages import _heads

    if not _heads.train_on_own(settings, Path("data/model/model.safetensors"), FOLDER):
        write_none()


def write_none() -> None:
    """Write that there are none."""
    with written_whole(FOLDER) as temporary:
        write_json(temporary / NAMES, [])


if __name__ == "__main__":
    run(main)
