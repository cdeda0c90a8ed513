"""How many samples, labels and files there are: by split, class and modality."""

from typing import Any

import numpy as np
import pandas as pd

from umemma.data.sample import SPLITS
from umemma.missingness import pattern_name
from umemma.validation import gaps
from umemma.validation.expectation import Evidence


def labels(evidence: Evidence) -> pd.DataFrame:
    """Return a row (key, split, label) for each label; a sample with several has several, one with none has none."""
    rows = evidence.manifest[["key", "split", evidence.label_column]].rename(columns={evidence.label_column: "label"})
    if evidence.label_column == "label":
        return rows
    return rows.explode("label", ignore_index=True).dropna(subset="label").infer_objects()


def class_counts(evidence: Evidence) -> dict[str, dict[str, int]]:
    """Return {split: {class: number of labels}}, zeros included."""
    counts = labels(evidence).groupby(["split", "label"]).size().to_dict()
    return {
        split: {name: int(counts.get((split, label), 0)) for label, name in enumerate(evidence.index.classes)}
        for split in SPLITS
    }


def presence_shares(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return {modality: {split: share of the samples that have it}}."""
    manifest = evidence.manifest
    parts = {split: manifest[manifest["split"] == split] for split in SPLITS}
    return {
        name: {split: share(int(part[f"{name}_present"].sum()), len(part)) for split, part in parts.items()}
        for name in evidence.index.modalities
    }


def pattern_counts(evidence: Evidence) -> dict[str, dict[str, int]]:
    """Return {split: {pattern: number of samples that have exactly these modalities}}, the most frequent first."""
    names, manifest = evidence.index.modalities, evidence.manifest
    present, which = np.unique(
        manifest[[f"{name}_present" for name in names]].to_numpy(bool), axis=0, return_inverse=True
    )
    patterns = pd.Series(
        np.array([pattern_name(row, names) for row in present.tolist()], object)[which], manifest.index
    )
    counts = {split: patterns[manifest["split"] == split].value_counts() for split in SPLITS}
    return {split: {str(name): int(count) for name, count in of_split.items()} for split, of_split in counts.items()}


def statistics(evidence: Evidence) -> dict[str, Any]:
    """Return what is reported about the data, and what later versions are compared with."""
    manifest = evidence.manifest
    return {
        "splits": {split: int((manifest["split"] == split).sum()) for split in SPLITS},
        "groups": {split: manifest.loc[manifest["split"] == split, "group"].nunique() for split in SPLITS},
        "classes": class_counts(evidence),
        "presence": presence_shares(evidence),
        "gaps": gaps.shares(evidence),
        "patterns": pattern_counts(evidence),
    }


def share(count: int, total: int) -> float:
    """Return count / total; 0 if the total is 0."""
    return count / total if total else 0.0


def most_common(rows: pd.DataFrame, column: str) -> list[Any]:
    """Return a list of the most common value, the smallest of equally common ones; empty if all are null."""
    return list(rows[column].mode()[:1])


def kind(manifest: pd.DataFrame, modality: str) -> str:
    """Return the kind that most files of a modality have; empty if none is known."""
    column = f"{modality}_kind"
    return str(next(iter(most_common(manifest, column)), "")) if column in manifest else ""
