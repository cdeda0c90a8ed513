"""The fixed columns of all samples, computed once for every baseline that learns from them.

Oriented gradients of a 112 px spectrogram cost a processor 1 ms; `linear` and `trees` ask for those of the same samples.
"""

from dataclasses import replace

import numpy as np
import torch

from umemma.data.batch import Batch
from umemma.models.pooling import Pooling, kind_of
from umemma.models.run_encoders import encode_split
from umemma.training.copies import MAX_SAMPLES
from umemma.training.samples import Samples


def pooled(samples: Samples) -> Samples:
    """Return samples with columns in place of media, which baselines then take as they are: the same models.

    Of `train` those of the first `MAX_SAMPLES` that have a modality, which is all that baselines look at. Texts stay: how
    many words count is each baseline's own choice.
    """
    media = {}
    for split, batch in samples.media.items():
        limit = MAX_SAMPLES if split == "train" else None
        values = {name: _columns(name, batch.only([name]), limit, samples) for name in batch.modalities}
        media[split] = batch.with_values(values)
    return replace(samples, media=media)


def _columns(name: str, data: Batch, limit: int | None, samples: Samples) -> torch.Tensor:
    value = data.values[name]
    kind = kind_of(value)
    if kind == "words":
        return value
    pooling = Pooling(kind, tuple(value.shape[1:])).eval()
    rows = data.present[:, 0].nonzero().squeeze(1)[:limit]
    columns = torch.from_numpy(np.zeros((len(value), pooling.dim), np.float32))  # untouched rows take no memory
    columns[rows] = encode_split({name: pooling}, data.rows(rows), device=samples.device)[name]
    return columns
