"""Targets of fusion training that the towers' product softens: what it says with everything that a sample has.

A label is one draw from p(y | x); a calibrated teacher that sees all of x is nearer to it, and a student that sees a part,
because the rest is hidden, learns the same p(y | x_S) from targets of less variance (Lopez-Paz et al. 2016, arXiv
1511.03643).
"""

from collections.abc import Callable

import torch

from umemma.data.batch import Batch
from umemma.metrics.classification import has_class
from umemma.models import late_fusion
from umemma.training.context import TrainingContext

Targets = Callable[[Batch], torch.Tensor]


@torch.no_grad()
def targets(context: TrainingContext) -> Targets | None:
    """Return batch -> (batch, class) probabilities: `fuse.distil` of the teacher's, the rest the label; None without it.

    The teacher sees what a sample of `train` has, whatever is hidden from the batch.
    """
    share, data = context.fuse.distil, context.features["train"]
    if not share:
        return None
    head = late_fusion.build(
        context.towers,
        head="product_of_experts",
        substitute="none",
        substitute_at="feature",
        log_prior=context.log_prior,
        rows=data.values,
    )
    logits = head.fuse(data.values, data.present, data.key)
    answers = logits.sigmoid() if data.label.ndim == 2 else logits.softmax(dim=1)
    key, order = data.key.sort()

    def mixed(batch: Batch) -> torch.Tensor:
        teacher = answers[order[torch.searchsorted(key, batch.key.cpu())]].to(batch.label.device)
        return torch.lerp(has_class(batch.label, context.num_classes).to(teacher.dtype), teacher, share)

    return mixed
