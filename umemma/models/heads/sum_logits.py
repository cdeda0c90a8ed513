"""The product of experts, fine-tuned: it is initialised with the towers' own heads.

As it sums over the visible modalities, a single visible modality gives exactly the logits of its own head.
"""

from umemma.models.heads import product_of_experts


class Head(product_of_experts.Head):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    trained = True
