"""What a sceptic would try first, `linear` and `trees`: fitted to pooled columns of the media, without an encoder."""

import torch

from umemma.models.checkpoint import Model
from umemma.settings import BaselineName
from umemma.training.samples import Samples


def fitted(name: BaselineName, samples: Samples) -> Model:
    """Fit a baseline to the media of `train`; what is chosen is chosen on `val`."""
    torch.manual_seed(samples.seed)
    if name == "trees":  # each imports libraries that nothing else needs
        from umemma.training.boosting import trees

        return trees(samples)
    from umemma.training.regression import linear

    return linear(samples)


def budget(samples: Samples) -> int:
    """Return how many training samples a baseline sees, summed over modalities: each once."""
    return len(samples.media["train"]) * len(samples.modalities)
