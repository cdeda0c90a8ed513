"""What the presence of modalities tells of the label, taken out of what a head learns.

Where holes depend on the label, a head that sees them learns a shortcut: presence itself. It is worth nothing where holes
come about in another way. With p(r | y), how often samples of a class have exactly the modalities r,

    p(y | x_r, r)  ~  f(y | x_r) p(r | y),

so a head trained on log f + log p(r | y) leaves what presence tells to the second term, and f is the same whatever makes
modalities go missing (logit adjustment: Menon et al. 2021, arXiv 2007.07314). Modalities hidden in training on top tell
nothing, as they are drawn whatever the label is.
"""

from collections.abc import Callable

import torch

from umemma.data.batch import Batch
from umemma.metrics import classification

_SMOOTHING = 1.0  # samples of each class, spread over patterns as all samples are


def offset(train: Batch, num_classes: int) -> Callable[[Batch], torch.Tensor] | None:
    """Return batch -> (batch, class) of log p(r | y), with several labels its log-odds; None where no sample has a hole."""
    if train.present.all():
        return None
    patterns, number = train.present.unique(dim=0, return_inverse=True)
    of_pattern = torch.nn.functional.one_hot(number, len(patterns)).double()
    share = of_pattern.mean(dim=0)

    def log_share(weight: torch.Tensor) -> torch.Tensor:
        """Return (pattern, class) of samples weighted by (sample, class)."""
        counts = of_pattern.T @ weight + _SMOOTHING * share[:, None]
        return (counts / counts.sum(dim=0)).log()

    if train.label.ndim == 2:
        table = log_share(train.label.double()) - log_share((~train.label).double())
    else:
        table = log_share(classification.has_class(train.label, num_classes))
    table = torch.cat([table, torch.zeros(1, table.shape[1])]).float()  # the last: a pattern that training never has

    def of(batch: Batch) -> torch.Tensor:
        same = (batch.present[:, None] == patterns).all(dim=2)
        return table[torch.where(same.any(dim=1), same.int().argmax(dim=1), len(patterns))]

    return of
