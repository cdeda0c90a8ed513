"""The same file's content in more than one sample, for one modality.

A file that is blank is left out: black images and silent recordings are equal without being copies, and have an
expectation of their own. Content is compared byte for byte (sha256), so a copy that was encoded again is not seen.
"""

import pandas as pd

from umemma.expected import Evidence, Table, unique

_DIGITS = 16  # of a sha256 that are enough: a chance of 1e-10 that two of 60,000 files agree


def tables(evidence: Evidence, modality: str) -> list[Table]:
    """Expect a content in one split, with one label, in one sample; a row is named by the first sample it is of."""
    rows = _contents(evidence, modality)
    return [
        Table(f"copies/{modality}", rows, [unique("content_of_split", "duplicates_within_split")]),
        Table(f"splits/{modality}", rows.drop_duplicates(["content", "split"]),
              [unique("content", "duplicates_across_splits")]),
        Table(f"labels/{modality}", rows.drop_duplicates(["content", "label"]),
              [unique("content", "conflicting_labels")]),
    ]


def _contents(evidence: Evidence, modality: str) -> pd.DataFrame:
    """Return a row (key, split, label, content, content_of_split) for each file that is there and not blank."""
    manifest = evidence.manifest
    there = manifest[f"{modality}_present"] & (manifest[f"{modality}_blank"] != True)  # noqa: E712  null is not true
    rows = manifest.loc[there, ["key", "split"]].assign(
        label=manifest.loc[there, evidence.label_column].map(str),
        content=manifest.loc[there, f"{modality}_sha256"].str[:_DIGITS])
    return rows.assign(content_of_split=rows["split"] + " " + rows["content"])
