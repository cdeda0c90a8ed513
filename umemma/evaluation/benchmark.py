"""Our model against the two baselines on one data set, over several runs, for chosen sets of modalities.

A run is a seed, or an official split. Each metric of every model is a bootstrap estimate (1 + replicate,), averaged over
runs: with the same test samples in all runs the draws are the same, so the average is paired; with other samples they are
independent. The rival is the better baseline on these same test samples, which favours the baselines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Any, get_args

import torch

from umemma.errors import ParameterError
from umemma.evaluation import parts
from umemma.evaluation.bootstrap import Interval, Resamples, difference
from umemma.evaluation.comparison import Model, check_same_samples
from umemma.evaluation.parts import Part
from umemma.evaluation.scores import telling
from umemma.settings import BaselineName

OURS, SPECIALIST = "ours", "specialist"
BASELINES: tuple[str, ...] = get_args(BaselineName)
Run = Mapping[str, Model]  # by OURS, BASELINES and SPECIALIST
_REPLICATES = 1_000


@dataclass(frozen=True)
class Row:
    """One metric on one set of modalities: mean and spread over runs by model, and ours - the better baseline's."""

    present: str
    metric: str
    num_samples: int
    num_groups: int
    mean: Mapping[str, float]
    spread: Mapping[str, float | None]
    rival: str
    difference: Interval

    @property
    def verdict(self) -> str:
        """`ahead`, `behind`, or `level`: the interval of the difference holds 0."""
        low, high = self.difference["low"], self.difference["high"]
        if low is None or high is None or low <= 0 <= high:
            return "level"
        return "ahead" if low > 0 else "behind"


def check_is_whole(parameters: Mapping[str, Any]) -> None:
    """Raise ParameterError if a run with these parameters fits not all that a benchmark compares with."""
    if gone := [name for name in BASELINES if name not in parameters["baselines"]]:
        raise ParameterError(
            f"baselines: {', '.join(gone)} left out; a benchmark compares with [{', '.join(BASELINES)}]"
        )


def rows(runs: Sequence[Run]) -> list[Row]:
    """Return the rows of a data set, those of `parts.few`."""
    for run in runs:
        check_same_samples(list(run.values()), run[OURS])
    test = runs[0][OURS].splits["test"]
    draws = [Resamples(run[OURS].splits["test"].group, replicates=_REPLICATES, seed=0) for run in runs]
    return [_row(runs, draws, part, metric) for part in parts.few(test) for metric in telling(test.label)]


def _row(runs: Sequence[Run], draws: Sequence[Resamples], part: Part, metric: str) -> Row:
    estimates: dict[str, list[torch.Tensor]] = {}
    for run, resamples in zip(runs, draws, strict=True):
        for key, model in run.items():
            estimates.setdefault(key, []).append(part.estimate(model, metric, resamples))
    means = {key: torch.stack(values).mean(dim=0) for key, values in estimates.items()}
    rival = max(BASELINES, key=lambda key: means[key][0].item())
    chosen = part.rows(runs[0][OURS].splits["test"])
    groups = draws[0].clusters_of(chosen)
    return Row(
        part.name,
        metric,
        int(chosen.sum()),
        groups,
        {key: value[0].item() for key, value in means.items()},
        {key: stdev(v[0].item() for v in values) if len(values) > 1 else None for key, values in estimates.items()},
        rival,
        difference(means[OURS] - means[rival], groups),
    )
