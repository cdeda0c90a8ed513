"""Shards -> one modality's arrays, decoded once (data/arrays/<data set>/<modality>)."""

from importlib import import_module
from pathlib import Path

import torch

from stages import modality_of, run
from umemma import limits, parameters
from umemma.data import arrays, shards
from umemma.errors import SettingError, unknown
from umemma.files import written_whole
from umemma.launchers.launcher import Launcher
from umemma.settings import Settings, call


def decode(
    shard_folder: Path, modality: str, settings: Settings, folder: Path, launcher: Launcher
) -> dict[str, object]:
    """Decode one modality into `folder`, atomically; return its facts."""
    index = shards.verify(shard_folder)
    if modality not in index.modalities:
        raise SettingError(unknown("dataset.modalities", "modality in data", modality, index.modalities))
    decoder_class = import_module(f"umemma.media.decoders.{settings['name']}").Decoder
    decoder = call(decoder_class, settings, f"dataset.modalities.{modality}.decode")
    with written_whole(folder) as temporary:
        return arrays.write(index, shard_folder, modality, decoder, temporary, launcher=launcher)


def main() -> None:
    """Read the parameters and decode."""
    modality = modality_of(__doc__)
    settings = parameters.read()
    limits.use(settings.limits)
    torch.set_num_threads(1)  # processes share the work, and only one without threads of torch's can be forked
    dataset = settings.dataset
    folder = Path("data/arrays") / dataset.name / modality
    facts = decode(Path("data/shards"), modality, dataset.modalities[modality].decode, folder, settings.launcher())
    print(f"{modality}: {facts['present']} decoded, shape {facts['shape']}")


if __name__ == "__main__":
    run(main)
