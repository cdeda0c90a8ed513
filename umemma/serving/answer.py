"""The answer to a row: what is said, from what, and what that very set of modalities was measured to be worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import unquote

import torch

from umemma.missingness import Pattern, in_order, is_within, pattern_name
from umemma.prediction.sets import nearest
from umemma.serving.calibration import Calibrated
from umemma.serving.folder import Measured, MeasuredPattern
from umemma.serving.identity import identifier

SEPARATOR = "; "
NOTHING_LEFT = "nothing is left to answer from: this is how often each class was in training"
PROBABILITY = "probability "


@dataclass(frozen=True)
class Answer:
    """The order of fields is the order of keys and columns. Figures are None where none was measured.

    `predicted` and `set`: names of classes, of one label a single prediction; `confidence`: the calibrated probability
    of the decision, with several labels of the least certain one. `set` holds the truth, with several labels all true
    ones, with probability `coverage`. `id` names the answer, not the event: the model and what it read, so that the
    same sample has the same id whenever it is asked for, alone or among others. `measured`: the pattern whose figures
    follow, on `n` test samples: `used`, or the nearest one within it, if that was not measured; `information` in nats.
    """

    id: str
    place: str
    key: str
    predicted: Sequence[str]
    confidence: float
    set: Sequence[str]
    coverage: float
    used: Sequence[str]
    rejected: Mapping[str, str]
    notes: Sequence[str]
    measured: str | None
    n: int | None
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    information: float | None
    probability: Mapping[str, float]

    def content(self) -> dict[str, Any]:
        """Return it as JSON-compatible content."""
        return dict(vars(self))  # its fields hold plain content: `asdict` would copy each, .3 ms a request

    def cells(self) -> dict[str, Any]:
        """Return it as a row of a table: text and numbers, a column for the probability of each class."""
        row = self.content()
        by_class = row.pop("probability")
        for name in ("predicted", "set", "notes"):
            row[name] = SEPARATOR.join(row[name])
        row["used"] = "+".join(row["used"])
        row["rejected"] = SEPARATOR.join(f"{name}: {why}" for name, why in row["rejected"].items())
        return row | {f"{PROBABILITY}{name}": value for name, value in by_class.items()}


@dataclass(frozen=True)
class Worth:
    """What is known of a pattern: the name of the measured one, its figures, and a sentence if it is another one."""

    name: str | None
    figures: MeasuredPattern | None
    note: str | None

    @property
    def cells(self) -> dict[str, Any]:
        """The fields of an answer that are the same for all of the pattern."""
        figures = self.figures
        return {
            "measured": self.name,
            "n": figures and figures.n,
            "accuracy": figures and figures.accuracy.value,
            "accuracy_low": figures and figures.accuracy.low,
            "accuracy_high": figures and figures.accuracy.high,
            "information": figures and figures.information.value,
        }


def worth(pattern: Pattern, modalities: Sequence[str], measured: Measured) -> Worth:
    """Return what was measured of exactly this pattern, or of the nearest one within it."""
    if not any(pattern):
        return Worth(None, None, NOTHING_LEFT)
    by_pattern = {tuple(name in key.split("+") for name in modalities): key for key in measured.patterns}
    if pattern in by_pattern:
        return Worth(by_pattern[pattern], measured.patterns[by_pattern[pattern]], None)
    name = pattern_name(pattern, modalities)
    within = [other for other in in_order(by_pattern) if is_within(other, pattern)]
    if not within:
        return Worth(None, None, f"{name} was not measured: no test sample has it")
    key = by_pattern[nearest(pattern, within)]
    return Worth(key, measured.patterns[key], f"{name} was not measured; the nearest within it that was is {key}")


class Asked(Protocol):
    """What an answer repeats of its row."""

    @property
    def place(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def rejected(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def notes(self) -> Sequence[str]: ...  # noqa: D102


class Answers:
    """Turns logits into answers: for new rows, and for the test samples of a run."""

    def __init__(
        self,
        classes: Sequence[str],
        modalities: Sequence[str],
        calibration: Calibrated,
        measured: Measured,
        *,
        digest: str,
    ) -> None:
        self._digest = digest
        self._classes, self._modalities, self._calibration = classes, modalities, calibration
        self._worth: Callable[[Pattern], Worth] = cache(lambda pattern: worth(pattern, modalities, measured))

    def __call__(
        self, rows: Sequence[Asked], present: torch.Tensor, logits: torch.Tensor, coverage: float
    ) -> list[Answer]:
        """Return the answers in order; `present` (row, modality), `logits` (row, class) from exactly these."""
        found: dict[int, Answer] = {}
        for pattern in map(tuple, present.unique(dim=0).tolist()):
            of_pattern = (present == torch.tensor(pattern)).all(dim=1).nonzero().squeeze(1)
            judged = zip(*self._calibration.judged(pattern, logits[of_pattern], coverage), strict=True)
            for row, one in zip(of_pattern.tolist(), judged, strict=True):
                found[row] = self._answer(rows[row], pattern, one, coverage)
        return [found[row] for row in range(len(rows))]

    def _answer(self, row: Asked, pattern: Pattern, judged: tuple[torch.Tensor, ...], coverage: float) -> Answer:
        probability, decided, in_set = judged
        worth = self._worth(pattern)
        sure = torch.where(decided, probability, 1 - probability)
        return Answer(
            id=identifier(self._digest, row.digest),
            place=row.place,
            key=unquote(row.key),
            predicted=self._named(decided),
            confidence=float(sure.min() if self._calibration.several else probability[decided]),
            set=self._named(in_set),
            coverage=coverage,
            used=[name for name, is_present in zip(self._modalities, pattern, strict=True) if is_present],
            rejected=dict(row.rejected),
            notes=[*row.notes, *([worth.note] if worth.note else [])],
            **worth.cells,
            probability=dict(zip(self._classes, probability.tolist(), strict=True)),
        )

    def _named(self, flags: torch.Tensor) -> list[str]:
        return [name for name, is_in in zip(self._classes, flags.tolist(), strict=True) if is_in]
