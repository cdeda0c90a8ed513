"""The arms: training methods that are compared; a single parameter chooses one.

All arms of a run start from the same towers, and have the same order of samples, the same missing modalities, and the
same budget of training samples seen (including a tower's pre-training). So an arm from scratch trains as long as
pre-training and fusion together, and an arm with nothing left to train spends less. Only `specialist` spends more: it
has a model for every set, each trained in two ways; it is a yardstick, not a competitor. So are `linear` and `trees`,
what a sceptic would try first: no encoder, seconds of training, and beside every run, whatever its arm, unless
`baselines` leaves them out.

A model is judged by what its arm promises. `joint`, `joint+mma` and `early` do not use the towers, `ump` never sees a
missing modality in training, and `ensemble` gives the worst tower a vote: that such a baseline falls below a tower is a
result of the comparison, not a failure of the run.
"""

from dataclasses import dataclass
from typing import Literal

from umemma.training.settings import ArmName


@dataclass(frozen=True)
class Arm:
    """`trains`: what is trained after the towers. `hides`: are modalities hidden in training? `about`: a description.

    `keeps_up`: does it promise never to be below the best tower of the present modalities?
    """

    fusion: Literal["late", "early", "best tower", "specialists", "classical", "grown"]
    trains: Literal["nothing", "head", "towers and head", "all from scratch"]
    hides: bool
    keeps_up: bool
    about: str

    @property
    def is_on_towers(self) -> bool:
        """Return whether its features are those of the towers, so that other heads on them are known from `reference`."""
        return self.fusion in ("late", "best tower") and self.trains in ("nothing", "head")


ARMS: dict[ArmName, Arm] = {
    "uni": Arm("best tower", "nothing", False, True, "the best tower of what is present, chosen on validation data"),
    "joint": Arm("late", "all from scratch", False, False, "late fusion from scratch, nothing hidden"),
    "joint+mma": Arm("late", "all from scratch", True, False, "late fusion from scratch, modalities hidden"),
    "ump": Arm("late", "towers and head", False, False, "pre-trained towers, trained on with nothing hidden"),
    "ume-mma": Arm("late", "towers and head", True, True, "pre-trained towers, trained on with modalities hidden"),
    "ensemble": Arm("late", "nothing", False, False, "pre-trained towers, the product of their predictions"),
    "frozen": Arm(
        "late", "head", True, True, "pre-trained, frozen towers; only the head is trained, modalities hidden"
    ),
    "early": Arm("early", "all from scratch", True, False, "one encoder over all modalities, modalities hidden"),
    "specialist": Arm("specialists", "towers and head", False, True, "for every set of modalities a model of its own"),
    "grown": Arm("grown", "head", True, True, "an earlier model, unchanged, and terms for the modalities it lacks"),
    "linear": Arm(
        "classical",
        "all from scratch",
        False,
        False,
        "logistic regression on pooled columns of each modality, the product of calibrated probabilities",
    ),
    "trees": Arm(
        "classical",
        "all from scratch",
        False,
        False,
        "boosted trees on pooled columns of all modalities, and of copies with modalities hidden",
    ),
}
