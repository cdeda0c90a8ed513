"""An adapter whose training and validation samples have lost modalities for good, as in papers that train on incomplete data.

`fuse.protocol` hides modalities from the fusion alone: towers see every file, and each epoch hides others. Here what is hidden
is never written into a shard, so that nothing sees it. It is drawn once, from a sample's key alone. Test samples stay
whole: what would be left of them is evaluated exactly (`umemma.named_protocol`).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from umemma import named_masks
from umemma.data.sample import Rejected, Sample
from umemma.data.shard_writer import Adapter
from umemma.missingness import key_digest
from umemma.named_protocol import of_training


class Incomplete:
    """The samples of another adapter, those of training and validation with what a protocol leaves of them.

    Raises SettingError for a protocol that does not fit the adapter's modalities.
    """

    def __init__(self, adapter: Adapter, protocol: str) -> None:
        self._adapter, self._protocol = adapter, of_training(protocol, adapter.modalities, "prepare.protocol")
        self.modalities, self.num_samples = adapter.modalities, adapter.num_samples
        self.rejected: Sequence[Rejected] = getattr(adapter, "rejected", ())

    def sample(self, split: str, index: int) -> Sample:
        """Return a sample with the members that are left; one of the other adapter's errors passes."""
        sample = self._adapter.sample(split, index)
        if split == "test":
            return sample
        present = torch.tensor([[name in sample.modalities for name in self.modalities]])
        label = sample.label if isinstance(sample.label, int) else next(iter(sample.label), 0)
        left = named_masks.draw(
            self._protocol, present, key_digest([sample.key]), torch.tensor([label]), seed=0, epoch=0
        )
        kept = {name for name, is_left in zip(self.modalities, left[0].tolist(), strict=True) if is_left}
        named = zip(sample.members.items(), sample.modalities, strict=True)
        members = {name: content for (name, content), modality in named if modality in kept}
        files = {name: sample.files[name] for name in members if name in sample.files}
        return replace(sample, members=members, files=files)
