"""Drift: shares of the data compared with those of the version that the user accepted.

`python -m stages.validate --accept` writes `data/accepted/<data set>.json`, which is committed. So the reference is an
input file like any other, not what an earlier run happened to leave behind, and accepting a change is a commit with an
author. Without this file nothing is compared.

Shares also vary by chance, so only the change beyond three standard errors of the difference of two independent samples
counts. (Versions share most of their samples, so this is rather lenient.)
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
    """Return the file content of an accepted version."""
    return {
        "dataset": index.dataset,
        "manifest_sha256": index.manifest_sha256,
        **{name: statistics[name] for name in ("splits", "classes", "presence")},
    }


def read(folder: Path, dataset: str) -> dict[str, Any] | None:
    """Return the accepted version of a data set, None if there is none. Raises DataError if the file is damaged."""
    path = folder / f"{dataset}.json"
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or not {"splits", "classes", "presence"} <= content.keys():
        raise DataError(f"{path} is not the accepted version of a data set")
    return content


def tables(evidence: Evidence, max_drift: float) -> list[Table]:
    """Expect that no presence or class share moved by more than the bound, beyond chance."""
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
    """Return a row for each share; a share that only one version has is 0 in the other."""
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
