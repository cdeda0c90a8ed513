"""How many of the numbers in vectors and series were not measured."""

import pandas as pd

from umemma.data.sample import SPLITS
from umemma.validation.expectation import Evidence, Table, between
from umemma.validation.settings import Validation


def shares(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return {modality: {split: share of the numbers that were not measured}} for vectors and series.

    Samples without the modality do not count, and a split in which it never occurs has 0.
    """
    manifest, result = evidence.manifest, {}
    for name in evidence.index.modalities:
        if f"{name}_num_missing" in manifest:
            counts = manifest.assign(missing=manifest[f"{name}_num_missing"], numbers=_num_numbers(manifest, name))
            total = counts.groupby("split")[["missing", "numbers"]].sum()
            result[name] = {
                split: float(total["missing"][split] / total["numbers"][split])
                if split in total.index and total["numbers"][split]
                else 0.0
                for split in SPLITS
            }
    return result


def _num_numbers(manifest: pd.DataFrame, modality: str) -> "pd.Series[float]":
    if f"{modality}_num_values" in manifest:
        return manifest[f"{modality}_num_values"]
    return manifest[f"{modality}_num_steps"] * manifest[f"{modality}_channels"]


def tables(evidence: Evidence, bounds: Validation) -> list[Table]:
    """Return a row for each modality and split; no table if there is neither vector nor series."""
    rows = [
        {"key": f"{split}/{name}", "share": share}
        for name, of_split in shares(evidence).items()
        for split, share in of_split.items()
    ]
    return [Table("gaps", pd.DataFrame(rows), [between("share", None, bounds.max_gaps, "gaps")])] if rows else []
