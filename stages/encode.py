"""Decoded arrays -> a frozen trunk's features of them, computed once (data/encoded/<data set>/<modality>)."""

from functools import partial
from pathlib import Path

from stages import modality_of
from umemma import parameters
from umemma.errors import run
from umemma.files import read_json, written_whole
from umemma.models import feature_cache
from umemma.training import device as compute
from umemma.training.settings import Compute


def encode(decoded_folder: Path, trunk_file: Path, modality: str, folder: Path, compute_: Compute) -> str:
    """Write the features, or that there are none, into `folder`, whole or not at all; return a sentence on them."""
    trunk = read_json(trunk_file)
    with written_whole(folder) as temporary:
        if trunk is None:
            feature_cache.write_none(modality, temporary)
            return "no frozen trunk; its tower is trained on what was decoded"
        device = compute.set_up(compute_)
        facts = feature_cache.write(
            decoded_folder,
            modality,
            trunk,
            temporary,
            device=device,
            autocast=partial(compute.autocast, compute_, device),
        )
    return f"{facts['present']} encoded, {facts['shape'][0]} features of {trunk['settings']['name']}"


def main() -> None:
    """Read the parameters and encode."""
    modality = modality_of(__doc__)
    settings = parameters.read()
    name = settings.dataset.name
    told = encode(
        Path("data/decoded") / name / modality,
        Path("data/trunks") / name / f"{modality}.json",
        modality,
        Path("data/encoded") / name / modality,
        settings.compute,
    )
    print(f"{modality}: {told}")


if __name__ == "__main__":
    run(main)
