"""Raw files -> WebDataset shards with a manifest (data/shards)."""

from pathlib import Path

from umemma import adapters, parameters, raw, shards
from umemma.errors import run
from umemma.files import written_whole
from umemma.parameters import Dataset


def prepare(dataset: Dataset, root: Path, folder: Path, samples_per_shard: int) -> shards.Index:
    """Write the data set's shards into `folder`, whole or not at all, and return their index."""
    adapter = adapters.built(dataset, root)
    with written_whole(folder) as temporary:
        return shards.write(
            adapter, temporary, dataset=dataset.name, classes=dataset.classes, samples_per_shard=samples_per_shard)


def main() -> None:
    """Read the parameters, check the raw files once more, prepare."""
    settings = parameters.read()
    root = raw.verified(settings.dataset)
    index = prepare(settings.dataset, root, Path("data/shards"), settings.prepare.samples_per_shard)
    counts = {split: sum(one.num_samples for one in index.shards if one.split == split)
              for split in ("train", "val", "test")}
    print(f"{settings.dataset.name}: {counts} samples in {len(index.shards)} shards, {index.sha256[:12]}")


if __name__ == "__main__":
    run(main)
