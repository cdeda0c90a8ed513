"""Fine-tuning settings of a pre-trained network: checked before the network is loaded."""

from dataclasses import dataclass

from umemma.errors import unknown


@dataclass(frozen=True)
class Tuning:
    """The settings shared by all backbones.

    `weights`: path of a local file, `hub`, or null for none. `trainable`: `frozen`, `head` (the projection alone),
    `last_1`, `last_2`, ... (that many blocks, and the projection) or `full`. `dim`: the projection's size; null keeps
    the network's own features. `lr_scale`: the last block's learning rate relative to the tower's, `lr_decay`: each
    earlier block's relative to the next one's (Howard and Ruder 2018). `projection_dropout` follows the projection.
    """

    weights: str | None
    trainable: str
    dim: int | None = None
    lr_scale: float = 1.0
    lr_decay: float = 1.0
    projection_dropout: float = 0.0

    def check(self) -> None:
        """Raise ValueError if the settings contradict each other."""
        if self.trainable == "frozen" and self.dim is not None:
            raise ValueError(
                f"trainable: frozen trains nothing, but dim {self.dim} asks for a projection, which would "
                "stay random; set dim to null, or trainable to head"
            )
        if self.trainable == "head" and self.dim is None:
            raise ValueError(
                "trainable: head trains the projection, but dim is null: there is none; set dim, or trainable to frozen"
            )
        if self.lr_scale <= 0 or not 0 < self.lr_decay <= 1:
            raise ValueError(
                f"lr_scale must be above 0, lr_decay above 0 and at most 1; they are {self.lr_scale} and "
                f"{self.lr_decay}"
            )
        if self.weights is None and self.trainable != "full":
            raise ValueError(
                f"trainable: {self.trainable} keeps blocks as they are, but weights is null: they would "
                "stay random; set weights, or trainable to full"
            )

    def num_blocks(self, total: int) -> int:
        """Return how many of the network's `total` blocks are trained. Raises ValueError if settings contradict."""
        choices = ["frozen", "head", *(f"last_{n}" for n in range(1, total + 1)), "full"]
        if self.trainable not in choices:
            raise ValueError(unknown("trainable", "choice", self.trainable, choices))
        self.check()
        if self.trainable == "full":
            return total
        return int(self.trainable.partition("last_")[2] or 0)
