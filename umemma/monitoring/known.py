"""The reference of a model folder in the form of `samples`: its test samples, answered as a new row would be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from umemma.monitoring.samples import Answered, Reference, confidence, share_right
from umemma.monitoring.transport import Estimate, mean_share
from umemma.serving import calibration, folder, reference
from umemma.serving.folder import Facts
from umemma.serving.model import COVERAGE


@dataclass(frozen=True)
class Known:
    """A model, by its `digest`, and its test samples; `summaries` {modality: (sample, statistic)}."""

    digest: str
    facts: Facts
    reference: Reference
    summaries: dict[str, np.ndarray]

    @property
    def several(self) -> bool:
        """Has a sample any number of labels?"""
        return self.facts.task == "multi_label"

    def seeing(self, given: Sequence[str]) -> "Known":
        """Return it with the summaries of modalities as what is always seen."""
        seen = side_by_side([self.summaries[name] for name in given], len(self.reference.present))
        return replace(self, reference=replace(self.reference, given=seen))

    def tested(self) -> Estimate:
        """Return the accuracy of the test samples, each answered from all that it has."""
        everything = (True,) * self.reference.present.shape[1]
        right = self.reference.right[everything].copy()  # of a sample that lacks some: from those that it has
        for pattern, of_pattern in self.reference.right.items():
            own = (self.reference.present == np.array(pattern)).all(axis=1)
            right[own] = of_pattern[own]  # equal, but for the thresholds of several labels
        return mean_share(right, self.reference.cluster)


def read(model: Path) -> Known:
    """Read a model folder; of what is always seen nothing is known yet."""
    digest = folder.verify(model)
    facts = folder.read(model / folder.FACTS, Facts)
    stored, calibrated = reference.read(model), calibration.read(model / folder.CALIBRATION)
    test = stored.predictions
    several = facts.task == "multi_label"
    answered, right = {}, {}
    for pattern, logits in test.logits.items():
        probability, decided, _ = (one.numpy() for one in calibrated.judged(pattern, logits, COVERAGE))
        answered[pattern] = Answered(decided, confidence(probability, decided, several=several))
        right[pattern] = share_right(decided, test.label.numpy(), several=several)
    summaries = {name: value.numpy() for name, value in stored.summaries.items()}
    return Known(
        digest,
        facts,
        Reference(test.present.numpy(), answered, right, test.group.numpy(), np.zeros((len(test.present), 0))),
        summaries,
    )


def side_by_side(columns: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Return (row, column) of arrays (row, ...), of none if there are none."""
    return np.concatenate([np.zeros((count, 0)), *columns], axis=1)
