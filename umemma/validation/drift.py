"""Drift: shares of the data held against those of the version that a person accepted.

`python -m stages.validate --accept` writes `data/accepted/<data set>.json`, which is committed. So what a version is
compared with is a file like any other input, not what some earlier run happened to leave behind, and accepting a
change is a commit that names who did it. Where there is no such file nothing is compared.

A share moves by chance, too: what counts is by how much it moved beyond three standard errors of the difference of
two independent samples. (Versions share most of their samples, so that allows rather too much.)
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from umemma.data.sample import SPLITS
from umemma.data.shards import Index
from umemma.errors import DataError
from umemma.files import read_json
from umemma.validation import statistics as stats
from umemma.validation.expectation import Evidence, Table, between

Shares = Mapping[str, tuple[float, int]]  # "test/audio" -> share, of how many
_STANDARD_ERRORS = 3


def accepted(index: Index, statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written of an accepted version."""
    return {
        "dataset": index.dataset,
        "manifest_sha256": index.manifest_sha256,
        **{name: statistics[name] for name in ("splits", "classes", "presence")},
    }


def read(folder: Path, dataset: str) -> dict[str, Any] | None:
    """Return what was accepted of a data set; None where nothing was. Raises DataError where the file is damaged."""
    path = folder / f"{dataset}.json"
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or not {"splits", "classes", "presence"} <= content.keys():
        raise DataError(f"{path} is no accepted version of a data set")
    return content


def tables(evidence: Evidence, max_drift: float) -> list[Table]:
    """Expect that no presence and no class share moved by more than the bound, beyond chance."""
    if evidence.accepted is None:
        return []
    now = stats.statistics(evidence)
    return [
        Table(
            f"drift/{name}",
            _moved(shares(evidence.accepted), shares(now)),
            [between("drift", None, max_drift, f"{name}_drift")],
        )
        for name, shares in (("presence", _presence), ("class", _classes))
    ]


def _moved(before: Shares, now: Shares) -> pd.DataFrame:
    """Return a row for each share; what is in one version only was or is 0."""
    return pd.DataFrame(list(_rows(before, now)), columns=["key", "drift"])


def _rows(before: Shares, now: Shares) -> Iterator[tuple[str, float]]:
    for name in dict.fromkeys([*before, *now]):
        (old, old_count), (new, new_count) = before.get(name, (0.0, 0)), now.get(name, (0.0, 0))
        chance = _STANDARD_ERRORS * math.sqrt(_variance(old, old_count) + _variance(new, new_count))
        yield f"{name} {old:.3f} -> {new:.3f}", max(0.0, abs(new - old) - chance)


def _variance(share: float, count: int) -> float:
    return share * (1 - share) / max(count, 1)


def _presence(statistics: Mapping[str, Any]) -> Shares:
    return {
        f"{split}/{name}": (float(of_split[split]), int(statistics["splits"][split]))
        for name, of_split in statistics["presence"].items()
        for split in SPLITS
    }


def _classes(statistics: Mapping[str, Any]) -> Shares:
    totals = {split: sum(statistics["classes"][split].values()) for split in SPLITS}
    return {
        f"{split}/{name}": (stats.share(count, totals[split]), totals[split])
        for split in SPLITS
        for name, count in statistics["classes"][split].items()
    }
