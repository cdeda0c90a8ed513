"""Files with the same content in more than one sample, for one modality.

Blank files are excluded: black images and silent recordings are equal without being copies, and have their own
expectation. Content is compared byte for byte (sha256), so a re-encoded copy is not detected.
"""

import pandas as pd

from umemma.validation.expectation import Evidence, Table, between


def table(evidence: Evidence, modality: str) -> Table:
    """Expect every content in one split, in one sample of it, and with one label (or one set of labels)."""
    rows = _contents(evidence, modality)
    by_content = rows.groupby("sha256")
    counted = rows[["key"]].assign(
        splits_with_it=by_content["split"].transform("nunique"),
        samples_of_split_with_it=rows.groupby(["sha256", "split"])["key"].transform("size"),
        labels_with_it=by_content["label"].transform("nunique"),
    )
    return Table(
        f"contents/{modality}",
        counted,
        [
            between("splits_with_it", 1, 1, "duplicates_across_splits"),
            between("samples_of_split_with_it", 1, 1, "duplicates_within_split"),
            between("labels_with_it", 1, 1, "conflicting_labels"),
        ],
    )


def _contents(evidence: Evidence, modality: str) -> pd.DataFrame:
    """Return a row (key, split, label as text, sha256) for each file present that is not blank, sorted by content.

    At most ten keys are listed, so copies must be adjacent.
    """
    manifest = evidence.manifest
    is_used = manifest[f"{modality}_present"] & (manifest[f"{modality}_blank"] != True)  # noqa: E712  null is not true
    rows = manifest.loc[is_used, ["key", "split"]].assign(
        label=manifest.loc[is_used, evidence.label_column].map(str), sha256=manifest.loc[is_used, f"{modality}_sha256"]
    )
    return rows.sort_values("sha256", kind="stable")
