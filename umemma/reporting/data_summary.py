"""A summary of the data for the page and the terminal: which samples are not in the results, and all warnings.

Judged = used + quarantined in every split (the gate checks it), so each sample that the results lack is counted here.
The split "" holds the samples that the data assign to no split.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from umemma.reporting.results import Result, Statistics, Validation


class Reason(Result):
    """Why samples are in quarantine; rare reasons are added up, with an empty example.

    `is_damage` False: left out by rule, such as rows without a label.
    """

    reason: str
    total: int
    is_damage: bool = True
    by_split: dict[str, int]
    example: str


class Summary(Result):
    """`judged`, `used` and `quarantined` count samples by split, in the order of `splits`.

    `warnings` are sentences, `ignored` names of expectations; `statistics`: what is in the samples that were used,
    of which values were `dropped`, by reason.
    """

    splits: list[str]
    judged: dict[str, int]
    used: dict[str, int]
    quarantined: dict[str, int]
    reasons: list[Reason]
    warnings: list[str]
    ignored: list[str]
    statistics: Statistics
    dropped: dict[str, int]


def summary(validation: Validation, reasons: Sequence[Mapping[str, Any]]) -> Summary:
    """Return the summary, from validation.json and `quarantine.reasons`."""
    judged, used = validation.quarantine.judged, validation.quarantine.kept
    return Summary(
        splits=list(judged),
        judged=judged,
        used=used,
        quarantined={split: count - used[split] for split, count in judged.items()},
        reasons=[Reason.model_validate(reason) for reason in reasons],
        warnings=validation.warnings,
        ignored=validation.ignored,
        statistics=validation.statistics,
        dropped=validation.quarantine.dropped,
    )
