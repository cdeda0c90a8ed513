"""The same content in more than one sample: of one file, and of whole samples.

- A file is judged by itself where equal content means a copy: pictures, sounds, videos, series, texts of `LONG_CHARS`
  characters. Two people of 43 years are no copies, nor are two titles of three words; vectors and short texts are
  judged as parts of the whole sample only.
- A whole sample is judged if it has more than a few numbers, for which the same holds.
- Blank files are excluded: black images and silent recordings are equal without being copies, and have their own
  expectation. Content is compared byte for byte (sha256), so a re-encoded copy is not detected.
"""

import pandas as pd

from umemma.data.sample import SPLITS
from umemma.validation import statistics
from umemma.validation.expectation import Evidence, Table, between

LONG_CHARS = 200
FEW_NUMBERS = 8


def table(evidence: Evidence, modality: str) -> Table | None:
    """Expect every content in one split, in one sample of it, and with one label (or one set of labels).

    None for a modality of which equal content is no copy.
    """
    rows = _contents(evidence, modality)
    if rows is None:
        return None
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


def samples(evidence: Evidence) -> Table:
    """Expect no sample in two splits with all that it has."""
    manifest, names = evidence.manifest, evidence.index.modalities
    digests = {
        name: manifest[f"{name}_sha256"].where(manifest[f"{name}_present"]).factorize()[0]
        for name in names
        if f"{name}_sha256" in manifest
    }
    numbers = pd.DataFrame(digests, index=manifest.index)
    content = numbers.groupby(list(digests)).ngroup() if digests else 0
    rows = manifest[["key", "split"]].assign(content=content)
    rows = rows[_is_telling(evidence) & manifest["split"].isin(SPLITS)].sort_values("content", kind="stable")
    splits = rows.groupby("content")["split"].transform("nunique")
    return Table("contents", rows[["key"]].assign(splits_with_it=splits), [between("splits_with_it", 1, 1, "copies")])


def _contents(evidence: Evidence, modality: str) -> pd.DataFrame | None:
    """Return a row (key, split, label as text, sha256) for each file that is judged by itself, sorted by content.

    At most ten keys are listed, so copies must be adjacent.
    """
    manifest = evidence.manifest
    kind = statistics.kind(manifest, modality)
    if kind == "vector":
        return None
    is_used = manifest[f"{modality}_present"] & (manifest[f"{modality}_blank"] != True)  # noqa: E712  null is not true
    if kind == "text":
        is_used &= manifest[f"{modality}_num_chars"] >= LONG_CHARS
    rows = manifest.loc[is_used, ["key", "split"]].assign(
        label=manifest.loc[is_used, evidence.label_column].map(str), sha256=manifest.loc[is_used, f"{modality}_sha256"]
    )
    return rows.sort_values("sha256", kind="stable")


def _is_telling(evidence: Evidence) -> pd.Series:
    """Whether a sample has anything but a few numbers."""
    manifest = evidence.manifest
    is_telling = pd.Series(False, index=manifest.index)
    num_values = pd.Series(0, index=manifest.index)
    for name in evidence.index.modalities:
        if statistics.kind(manifest, name) != "vector":
            is_telling |= manifest[f"{name}_present"]
        elif f"{name}_num_values" in manifest:
            num_values += manifest[f"{name}_num_values"].fillna(0).astype(int)
    return is_telling | (num_values >= FEW_NUMBERS)
