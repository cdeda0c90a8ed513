"""Drift of presence, and of what is there: two-sample tests with effect sizes, corrected together (Holm)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from umemma.evaluation.bootstrap import holm
from umemma.evaluation.two_samples import Rows, alike, differ, ranked


@dataclass(frozen=True)
class Presence:
    """Shares of today's rows and of test samples that have a modality; `p` that they differ by chance."""

    today: float
    test: float
    p: float

    @property
    def moved(self) -> float:
        """How far the share moved."""
        return abs(self.today - self.test)


@dataclass(frozen=True)
class Content:
    """What arrays were like: of the statistic that moved most its median `today` and in the `test`.

    `rank`: P(a row's value is larger than a test sample's), 0.5 where nothing moved; `p`: that all statistics together
    differ by chance.
    """

    statistic: str
    today: float
    test: float
    rank: float
    p: float

    @property
    def moved(self) -> float:
        """How far the rank is from the middle."""
        return abs(self.rank - 0.5)


def presence(today: np.ndarray, test: np.ndarray, clusters: tuple[np.ndarray, np.ndarray]) -> list[Presence]:
    """Return a result for each modality of (row, modality) and (sample, modality); p values are not corrected."""
    columns = zip(today.T.astype(float), test.T.astype(float), strict=True)
    return [
        Presence(float(new.mean()), float(old.mean()), _p(new[:, None], old[:, None], clusters)) for new, old in columns
    ]


def content(
    today: np.ndarray, test: np.ndarray, clusters: tuple[np.ndarray, np.ndarray], statistics: Sequence[str]
) -> Content | None:
    """Return a result for one modality, of the rows and samples that have it (row, statistic); None if there are none."""
    if not len(today) or not len(test):
        return None
    rank = ranked(test, today).mean(axis=0)
    most = int(np.abs(rank - 0.5).argmax())
    medians = float(np.median(today[:, most])), float(np.median(test[:, most]))
    return Content(statistics[most], *medians, float(rank[most]), _p(*alike(today, test), clusters))


def corrected(
    presences: Mapping[str, Presence], contents: Mapping[str, Content]
) -> tuple[dict[str, Presence], dict[str, Content]]:
    """Return both with p corrected for the number of all of them."""
    alone = [*(one.p for one in presences.values()), *(one.p for one in contents.values())]
    p = holm(torch.tensor(alone, dtype=torch.float64)).tolist()
    of_presence = {name: replace(one, p=p[number]) for number, (name, one) in enumerate(presences.items())}
    rest = p[len(presences) :]
    return of_presence, {name: replace(one, p=rest[number]) for number, (name, one) in enumerate(contents.items())}


def _p(new: np.ndarray, old: np.ndarray, clusters: tuple[np.ndarray, np.ndarray]) -> float:
    return differ(Rows(new, clusters[0]), Rows(old, clusters[1]))
