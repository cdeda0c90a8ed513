"""Labels that came later: how often the answers were right, beside what was expected of the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from umemma.errors import DataError, some, unknown
from umemma.monitoring.accuracy import Expected, expected
from umemma.monitoring.known import Known
from umemma.monitoring.samples import Today, share_right
from umemma.monitoring.settings import Settings
from umemma.monitoring.transport import Estimate, mean_share
from umemma.serving.answer import SEPARATOR
from umemma.serving.folder import Facts


@dataclass(frozen=True)
class Labelled:
    """Of the `n` rows that have a label: how often they are right, and what was expected of them.

    They are a sample of all rows only if it was left to chance which got a label. `num_unmatched`: labels whose key no row has.
    """

    n: int
    accuracy: Estimate
    expected: Expected
    num_unmatched: int


def read(path: Path, facts: Facts) -> dict[str, np.ndarray]:
    """Return {key: label} of a table of the columns key and label: a class number, or (class,) bool of several labels."""
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table of the columns key and label: {error}") from error
    if lacking := [name for name in ("key", "label") if name not in frame.columns]:
        raise DataError(f"{path} has no column {some(lacking)}, but {some(map(str, frame.columns))}")
    labels: dict[str, np.ndarray] = {}
    for line, (key, label) in enumerate(zip(frame["key"].astype(str), frame["label"].astype(str), strict=True), 2):
        value = _label(label, facts, f"{path}, line {line}")
        if key in labels and not np.array_equal(labels[key], value):
            raise DataError(f"{path}, line {line}: {key} has another label than before")
        labels[key] = value
    return labels


def labelled(
    keys: np.ndarray, labels: Mapping[str, np.ndarray], today: Today, about: Known, settings: Settings
) -> Labelled:
    """Return what labels say of the rows, of which `keys` (row,) are, that have one. Raises DataError if none has."""
    rows = np.flatnonzero([key in labels for key in keys])
    if not len(rows):
        raise DataError(f"no answer has one of the {len(labels):,} keys with a label, such as {some(labels, 2)}")
    label = np.stack([labels[keys[row]] for row in rows])
    of_label = today.of(rows)
    right = share_right(of_label.answered.decided, label, several=about.several)
    return Labelled(
        n=len(rows),
        accuracy=mean_share(right, of_label.cluster),
        expected=expected(of_label, about.reference, settings),
        num_unmatched=len(labels.keys() - set(keys)),
    )


def _label(written: str, facts: Facts, where: str) -> np.ndarray:
    number = {name: one for one, name in enumerate(facts.classes)}
    names = [written] if facts.task == "single_label" else written.split(SEPARATOR) if written else []
    for name in names:
        if name not in number:
            raise DataError(unknown(where, "class", name, facts.classes))
    if facts.task == "single_label":
        return np.array(number[written])
    value = np.zeros(len(number), dtype=bool)
    value[[number[name] for name in names]] = True
    return value
