"""What settings of an encoder mean, without loading any library of networks."""

from umemma.settings import Settings

HUB = "hub"  # as an encoder's `weights`: the publisher's own


def has_frozen_trunk(encoder: Settings) -> bool:
    """Return whether an encoder's pre-trained network stays as it is, so that its features are computed once."""
    return encoder.get("trainable") in ("frozen", "head")
