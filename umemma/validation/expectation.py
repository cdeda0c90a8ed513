"""What the gate is made of: the evidence, tables derived from it, and expectations of their rows.

Expectations are Great Expectations' own classes, with their name in `validation.severity`. A violation of one without a
name is always an error, as nothing could be computed without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from great_expectations import expectations as gxe

from umemma.data.quarantine import Quarantined
from umemma.data.shards import Index

Expectation = gxe.Expectation


@dataclass(frozen=True)
class Evidence:
    """What is judged: the shards' manifest, index and quarantine, and the accepted version.

    `accepted` is None if no version was accepted; then drift is not checked.
    """

    manifest: pd.DataFrame
    index: Index
    quarantine: Sequence[Quarantined]
    accepted: Mapping[str, Any] | None = None

    @property
    def label_column(self) -> str:
        """`labels` for data with several labels a sample, else `label`."""
        return "labels" if "labels" in self.manifest else "label"


@dataclass(frozen=True)
class Table:
    """A table and the expectations of it; its column `key` names the rows.

    `sentence` says what was found where a violation needs more words than a column and a bound.
    """

    name: str
    rows: pd.DataFrame
    expected: Sequence[Expectation]
    sentence: str = ""


def columns(names: Sequence[str]) -> Expectation:
    """Expect that the table has these columns, and possibly others."""
    return gxe.ExpectTableColumnsToMatchSet(column_set=list(names), exact_match=False)


def filled(column: str) -> Expectation:
    """Expect no null."""
    return gxe.ExpectColumnValuesToNotBeNull(column=column)


def typed(column: str, type_: str) -> Expectation:
    """Expect values of one type, by its name."""
    return gxe.ExpectColumnValuesToBeInTypeList(column=column, type_list=[type_])


def equal(first: str, second: str) -> Expectation:
    """Expect the same value in two columns."""
    return gxe.ExpectColumnPairValuesToBeEqual(column_A=first, column_B=second)


def every(column: str, values: Sequence[str]) -> Expectation:
    """Expect that each of the values occurs."""
    return gxe.ExpectColumnDistinctValuesToContainSet(column=column, value_set=list(values))


def unique(column: str, name: str = "") -> Expectation:
    """Expect no value twice."""
    return gxe.ExpectColumnValuesToBeUnique(column=column, meta={"name": name})


def among(column: str, values: Sequence[Any], name: str = "", *, mostly: float = 1) -> Expectation:
    """Expect one of the values, in the share `mostly` of the rows that are not null."""
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values), mostly=mostly, meta={"name": name})


def between(column: str, low: float | None, high: float | None, name: str = "", *, mostly: float = 1) -> Expectation:
    """Expect a value from `low` to `high` (None: unbounded) in the share `mostly` of the rows that are not null."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, mostly=mostly, meta={"name": name}
    )
