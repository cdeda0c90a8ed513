"""All that is found out of a model's answers, as one report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from umemma.errors import DataError
from umemma.missingness import pattern_name
from umemma.monitoring import answers as answered
from umemma.monitoring import drift, known, labels, restoring
from umemma.monitoring.accuracy import LEAST_ROWS, Expected, OfPattern, expected
from umemma.monitoring.answers import Answers
from umemma.monitoring.drift import Content, Presence
from umemma.monitoring.known import Known, side_by_side
from umemma.monitoring.labels import Labelled
from umemma.monitoring.samples import Today
from umemma.monitoring.settings import Settings
from umemma.monitoring.transport import Estimate
from umemma.serving.summary import STATISTICS

NOTHING = "nothing"


@dataclass(frozen=True)
class OfModality:
    """Is a modality there as often, is what is there the same, and what would be gained if it were always there?

    `content` is None where no summaries were kept, or no row has it; `gain` where it cannot be known. `rejected`: how often
    it was there and could not be used.
    """

    presence: Presence
    content: Content | None
    rejected: int
    gain: Estimate | None


@dataclass(frozen=True)
class Mix:
    """A pattern today and in the test: the share of test samples that have just it, the accuracy of all that hold it."""

    today: OfPattern
    test_share: float
    test_accuracy: float | None


@dataclass(frozen=True)
class Report:
    """What was found.

    `num_distinct`: of the `n` answers, as one sample may be asked for again; `tested`: accuracy of the test samples, each
    answered from all that it has; `given`: the modalities that are always seen, which holes may depend on.
    """

    source: str
    model: str
    dataset: str
    n: int
    num_distinct: int
    times: tuple[datetime, datetime] | None
    tested: Estimate
    expected: Expected
    given: tuple[str, ...]
    patterns: Mapping[str, Mix]
    modalities: Mapping[str, OfModality]
    labelled: Labelled | None
    remarks: tuple[str, ...]

    def content(self) -> dict[str, Any]:
        """Return it as JSON-compatible content."""
        found = asdict(replace(self, expected=None, labelled=None))  # type: ignore[arg-type]
        found["times"] = self.times and [one.isoformat() for one in self.times]
        found["expected"] = self._without_patterns(self.expected)
        if self.labelled is not None:
            found["labelled"] = asdict(replace(self.labelled, expected=None)) | {  # type: ignore[arg-type]
                "expected": self._without_patterns(self.labelled.expected)
            }
        return found

    def names(self, patterns: Sequence[Any]) -> list[str]:
        """Return the names of patterns."""
        return [pattern_name(pattern, list(self.modalities)) or NOTHING for pattern in patterns]

    def _without_patterns(self, one: Expected) -> dict[str, Any]:
        return {
            "accuracy": one.accuracy and asdict(one.accuracy),
            "bounds": list(one.bounds),
            "differ": self.names(one.differ),
            "unseen": self.names(one.unseen),
        }


def watch(
    source: Path, model: Path, settings: Settings, *, since: datetime | None = None, later: Path | None = None
) -> Report:
    """Compare the answers in `source` with the model folder's reference; `later`: a file of labels.

    Raises DataError for what cannot be compared.
    """
    about = known.read(model)
    answers = answered.read(source, about.facts, about.digest, most=settings.rows, since=since)
    if len(answers.ids) < LEAST_ROWS:
        raise DataError(f"{source} has {len(answers.ids)} answers, and fewer than {LEAST_ROWS} say nothing")
    given = _always_seen(answers)
    about = about.seeing(given)
    today = Today(
        answers.present,
        answers.answered,
        _clusters(answers),
        side_by_side([answers.summaries[name] for name in given], len(answers.ids)),
    )
    found = expected(today, about.reference, settings)
    by_key = None if later is None else labels.read(later, about.facts)
    return Report(
        source=str(source),
        model=about.digest,
        dataset=about.facts.dataset,
        n=len(answers.ids),
        num_distinct=int(today.cluster.max()) + 1,
        times=answers.times,
        tested=about.tested(),
        expected=found,
        given=given,
        patterns=_mix(found, about),
        modalities=_modalities(answers, today, about, settings, is_known=found.accuracy is not None),
        labelled=None if by_key is None else labels.labelled(answers.keys, by_key, today, about, settings),
        remarks=answers.remarks,
    )


def _clusters(answers: Answers) -> np.ndarray:
    """Return (row,) the number of its sample: rows with one id are one, asked again, but for rows of which nothing was read."""
    has_any: list[bool] = answers.present.any(axis=1).tolist()  # type: ignore[assignment]
    names = [name if has else str(row) for row, (name, has) in enumerate(zip(answers.ids, has_any, strict=True))]
    return np.unique(names, return_inverse=True)[1].reshape(-1)


def _always_seen(answers: Answers) -> tuple[str, ...]:
    """Return the modalities that every row has, with summaries."""
    return tuple(name for name, values in answers.summaries.items() if np.isfinite(values).all())


def _mix(found: Expected, about: Known) -> dict[str, Mix]:
    present, modalities = about.reference.present, about.facts.modalities
    result = {}
    for pattern, today in found.patterns.items():
        right, holders = about.reference.right.get(pattern), about.reference.holds(pattern)
        result[pattern_name(pattern, modalities) or NOTHING] = Mix(
            today,
            float((present == np.array(pattern)).all(axis=1).mean()),
            None if right is None or not holders.any() else float(right[holders].mean()),
        )
    return result


def _modalities(
    answers: Answers, today: Today, about: Known, settings: Settings, *, is_known: bool
) -> dict[str, OfModality]:
    test, names = about.reference, about.facts.modalities
    found = drift.presence(today.present, test.present, (today.cluster, test.cluster))
    presence = dict(zip(names, found, strict=True))
    content: dict[str, Content] = {}
    for number, name in enumerate(names):
        rows, samples = today.present[:, number], test.present[:, number]
        if name in answers.summaries:
            values = answers.summaries[name][rows], about.summaries[name][samples]
            of_name = drift.content(*values, (today.cluster[rows], test.cluster[samples]), STATISTICS)
            content |= {} if of_name is None else {name: of_name}
    presence, content = drift.corrected(presence, content)
    return {
        name: OfModality(
            presence[name],
            content.get(name),
            answers.rejected.get(name, 0),
            restoring.gain(today, test, number, settings) if is_known else None,
        )
        for number, name in enumerate(names)
    }
