"""The product of experts, trained: it starts as the towers' own heads, and is trained from there.

Because it is a sum over what is there, one modality left leaves exactly that modality's own head.
"""

from umemma.models.heads import product_of_experts


class Head(product_of_experts.Head):
    """{modality: (batch, dim)}, visible (batch, modality) -> logits (batch, class)."""

    trained = True
