"""The ways of training that are compared: one word in params.yaml chooses among them.

Every arm of one run has the same towers to start from, the same order of samples, the same holes, and the same budget
of training samples seen (a tower's pre-training counts). So an arm from scratch trains as long as pre-training and
fusion together, and an arm that has nothing left to train spends less. Only `specialist` spends more: it is a model for
every set, each tried in two ways, a yardstick and not a rival.

What an arm promises is what its model is judged by. `joint`, `joint+mma` and `early` do without the towers, `ump` never
sees a modality missing in training, and `ensemble` lets the worst tower vote: that such a baseline falls below a tower
is what a comparison is there to show, not a fault of the run.
"""

from dataclasses import dataclass
from typing import Literal

from umemma.training.settings import ArmName


@dataclass(frozen=True)
class Arm:
    """`trains`: what is trained after the towers. `hides`: are modalities hidden while it trains? `about`: in words.

    `keeps_up`: does it promise to be never below the best tower of what is present?
    """

    fusion: Literal["late", "early", "best tower", "specialists"]
    trains: Literal["nothing", "head", "towers and head", "all from scratch"]
    hides: bool
    keeps_up: bool
    about: str


ARMS: dict[ArmName, Arm] = {
    "uni": Arm("best tower", "nothing", False, True, "the best tower of what is present, chosen on validation data"),
    "joint": Arm("late", "all from scratch", False, False, "late fusion from scratch, nothing hidden"),
    "joint+mma": Arm("late", "all from scratch", True, False, "late fusion from scratch, modalities hidden"),
    "ump": Arm("late", "towers and head", False, False, "pre-trained towers, trained on with nothing hidden"),
    "ume-mma": Arm("late", "towers and head", True, True, "pre-trained towers, trained on with modalities hidden"),
    "ensemble": Arm("late", "nothing", False, False, "pre-trained towers, the product of their answers"),
    "frozen": Arm(
        "late", "head", True, True, "pre-trained, frozen towers; only the head is trained, modalities hidden"
    ),
    "early": Arm("early", "all from scratch", True, False, "one encoder over all modalities, modalities hidden"),
    "specialist": Arm("specialists", "towers and head", False, True, "for every set of modalities a model of its own"),
}
