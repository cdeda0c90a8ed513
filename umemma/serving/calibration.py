"""What logits mean: calibrated probabilities, decisions and prediction sets for every pattern, and their file."""

from pathlib import Path

import torch

from umemma.missingness import Pattern, is_within
from umemma.models import safetensors
from umemma.prediction import sets
from umemma.prediction.sets import Calibration


class Calibrated:
    """From logits to probabilities, decisions and sets, by pattern.

    `threshold` {pattern: (class,)}: log-odds above which a class is predicted, of several labels.
    """

    def __init__(
        self,
        log_prior: torch.Tensor,
        by_pattern: dict[Pattern, Calibration],
        threshold: dict[Pattern, torch.Tensor],
        *,
        several: bool,
    ) -> None:
        self.log_prior, self.by_pattern, self.threshold, self.several = log_prior, by_pattern, threshold, several

    def judged(
        self, pattern: Pattern, logits: torch.Tensor, coverage: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return probability, float64, decision and set, bool, each (row, class), of rows that have just this pattern."""
        known = self._known(pattern)
        calibration = self.by_pattern[known] if known is not None else None
        temperature = torch.ones(()) if calibration is None else calibration.temperature
        probability = sets.probabilities(logits, temperature, self.log_prior, several=self.several)
        decided = self._decided(pattern, logits)
        if calibration is None:
            return probability, decided, torch.ones_like(decided)
        return probability, decided, sets.sets(probability, decided, calibration, coverage)

    def _known(self, pattern: Pattern) -> Pattern | None:
        if not any(pattern):
            return pattern if pattern in self.by_pattern else None
        known = [one for one in self.by_pattern if any(one) and is_within(one, pattern)]
        return sets.nearest(pattern, known) if known else None

    def _decided(self, pattern: Pattern, logits: torch.Tensor) -> torch.Tensor:
        if not self.several:
            return torch.nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).bool()
        everything = (True,) * len(pattern)
        threshold = self.threshold.get(pattern, self.threshold.get(everything) if any(pattern) else None)
        return logits > (0.0 if threshold is None else threshold)


def write(path: Path, calibration: Calibrated) -> None:
    """Write the file of a model folder."""
    tensors = {"log_prior": calibration.log_prior}
    for pattern, one in calibration.by_pattern.items():
        tensors |= {
            f"{_bits(pattern)}/{name}": getattr(one, name) for name in ("temperature", "scores", "label", "weight")
        }
    tensors |= {f"{_bits(pattern)}/threshold": value for pattern, value in calibration.threshold.items()}
    own = [_bits(pattern) for pattern, one in calibration.by_pattern.items() if one.is_own]
    safetensors.write(path, tensors, {"several": calibration.several, "own": own})


def read(path: Path) -> Calibrated:
    """Read what `write` wrote."""
    tensors, facts = safetensors.read(path)
    of_bits: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        bits, _, field = name.rpartition("/")
        of_bits.setdefault(bits, {})[field] = value
    log_prior = of_bits.pop("")["log_prior"]
    by_pattern, threshold = {}, {}
    for bits, fields in of_bits.items():
        pattern = tuple(bit == "1" for bit in bits)
        if "threshold" in fields:
            threshold[pattern] = fields.pop("threshold")
        if fields:
            by_pattern[pattern] = Calibration(**fields, is_own=bits in facts["own"])
    return Calibrated(log_prior, by_pattern, threshold, several=facts["several"])


def _bits(pattern: Pattern) -> str:
    return "".join("1" if is_present else "0" for is_present in pattern)
