"""Raw files -> WebDataset shards with a manifest (data/shards), and unusable samples (data/reports/quarantine.parquet).

The shards contain the quarantine too, so that their readers know what is missing; the report's is a copy.
"""

import shutil
from pathlib import Path

import torch

from stages import run
from umemma import limits, parameters
from umemma.data import shard_writer, shards
from umemma.data.sample import SPLITS
from umemma.data.settings import Dataset
from umemma.files import written_whole
from umemma.launchers.launcher import Launcher
from umemma.sources import build, raw
from umemma.sources.incomplete import Incomplete

SHARDS, QUARANTINE = Path("data/shards"), Path("data/reports/quarantine.parquet")


def prepare(
    dataset: Dataset,
    root: Path,
    folder: Path,
    samples_per_shard: int,
    launcher: Launcher,
    *,
    protocol: str = "complete",
) -> shards.Index:
    """Write the data set's shards into `folder`, atomically, and return their index.

    `protocol`: what training and validation samples keep of their modalities, by name.
    """
    adapter = build.built(dataset, root)
    if protocol != "complete":
        adapter = Incomplete(adapter, protocol)
    with written_whole(folder) as temporary:
        return shard_writer.write(
            adapter,
            temporary,
            dataset=dataset.name,
            task=dataset.task,
            classes=dataset.classes,
            samples_per_shard=samples_per_shard,
            root=root,
            launcher=launcher,
        )


def summary(index: shards.Index) -> str:
    """Return one line: samples kept in each split, how many of those judged were not, and which values were dropped."""
    kept = {split: index.judged[split] - index.quarantined[split] for split in SPLITS}
    dropped = ", ".join(f"{reason} {count:,}" for reason, count in index.dropped.items())
    left_out = ", ".join(f"{split or 'no split'} {count}" for split, count in index.quarantined.items() if count)
    return (
        f"{index.dataset}: {kept} samples in {len(index.shards)} shards, {index.sha256[:12]}; of "
        f"{sum(index.judged.values())} judged {sum(index.quarantined.values())} are quarantined"
        + (f" ({left_out}): {QUARANTINE}" if left_out else "")
        + (f"; values dropped: {dropped}" if dropped else "")
    )


def main() -> None:
    """Read the parameters, check the raw files once more, prepare."""
    settings = parameters.read()
    limits.use(settings.limits)
    torch.set_num_threads(1)  # processes share the work, and only one without threads of torch's can be forked
    root = raw.verified(settings.dataset, Path("conf/dataset"))
    cut, launcher = settings.prepare, settings.launcher()
    index = prepare(settings.dataset, root, SHARDS, cut.samples_per_shard, launcher, protocol=cut.protocol)
    with written_whole(QUARANTINE) as temporary:
        shutil.copyfile(SHARDS / shards.QUARANTINE, temporary)
    print(summary(index))


if __name__ == "__main__":
    run(main)
