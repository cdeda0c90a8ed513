"""What an encoder's settings imply, without importing any deep-learning library."""

from collections.abc import Mapping
from typing import Literal

from umemma.settings import Settings

HUB = "hub"  # as an encoder's `weights`: the publisher's own


def has_frozen_backbone(encoder: Settings) -> bool:
    """Return whether an encoder's pre-trained network is frozen, so that its features are computed once."""
    return encoder.get("trainable") in ("frozen", "head")


def tower_inputs(encoders: Mapping[str, Settings]) -> dict[str, Literal["arrays", "features"]]:
    """Return what each modality's tower is trained on."""
    return {name: "features" if has_frozen_backbone(encoder) else "arrays" for name, encoder in encoders.items()}
