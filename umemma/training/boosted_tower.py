"""Growing a tower of boosted trees, with answers for training samples by trees that were not grown on them.

Whatever is fitted on top of a tower's answers must not see those for samples that it knows by heart. So the training
set is cut in five folds, no group in two, and each fold is answered by trees grown on the others; all other samples are
answered by trees grown on the whole training set, which are the tower.
"""

from collections.abc import Mapping

import torch

from umemma.data.batch import Batch
from umemma.metrics.objective import log_prior
from umemma.models import unimodal
from umemma.models.blocks import in_blocks
from umemma.models.encoders.trees import Boosted
from umemma.models.forest import Forest
from umemma.models.pooling import Pooling
from umemma.training.boosting import MAX_COLUMNS, boost

_NUM_FOLDS = 5


def fit(
    data: Mapping[str, Batch], *, num_classes: int, seed: int, group: torch.Tensor | None
) -> tuple[unimodal.Tower, dict[str, torch.Tensor]]:
    """Return the tower and its features {split: (sample, dim)}, zero where missing; those of `train` out of fold.

    `data` {split: Batch} has one modality; `group` (sample,) of `train`: None, every sample its own.
    """
    (name,) = data["train"].modalities
    has = {split: batch.present[:, 0] for split, batch in data.items()}
    values = {split: batch.values[name][has[split]] for split, batch in data.items()}
    label = {split: batch.label[has[split]] for split, batch in data.items()}
    pooling = Pooling.fit(values["train"], max_columns=MAX_COLUMNS).eval()
    columns = {split: in_blocks(pooling, value) for split, value in values.items()}
    prior = log_prior(label["train"], num_classes)

    def grow(rows: torch.Tensor) -> Forest:
        taken, answer = {"train": columns["train"][rows]}, {"train": label["train"][rows]}
        start = {split: prior.expand(len(columns[split]), -1) for split in ("train", "val")}
        start["train"] = start["train"][rows]
        taken["val"], answer["val"] = columns["val"], label["val"]
        return boost(taken, answer, start, seed=seed)

    number = len(columns["train"])
    body = Boosted(pooling, grow(torch.arange(number)), prior)
    body.fit_scale(columns["train"])
    fold = folds(torch.arange(number) if group is None else group[has["train"]], seed)
    out_of_fold = torch.zeros(number, num_classes)
    for k in fold.unique().tolist():
        out_of_fold[fold == k] = grow((fold != k).nonzero().squeeze(1))(columns["train"][fold == k]) + prior
    shape = list(values["train"].shape[1:])
    facts = {"modality": name, "shape": shape, "settings": {"name": "trees"}, "architecture": body.architecture}
    encoder = unimodal.Encoder.blank(facts)
    encoder.body.load_state_dict(body.state_dict())
    features = {}
    for split, batch in data.items():
        logits = out_of_fold if split == "train" else body.forest(columns[split]) + prior
        features[split] = torch.zeros(len(batch), encoder.dim)
        features[split][has[split]] = body.joined(logits, columns[split])
    tower = unimodal.Tower(encoder, num_classes)
    tower.log_prior.copy_(prior)
    tower.samples_seen = number
    tower.fit_temperature(features["val"][has["val"]], label["val"])
    return tower.eval(), features


def folds(group: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the fold of each sample, (sample,): of equally many groups, none of which is in two."""
    groups, number = group.unique(return_inverse=True)
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))
    return (order % min(_NUM_FOLDS, len(groups)))[number]
