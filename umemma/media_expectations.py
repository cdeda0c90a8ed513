"""What is expected of the files of one modality, from the facts that `umemma/media.py` puts into the manifest.

- Files of one modality share one shape: pixels, sample rate, channels, length as most of them have. Training stacks
  them, so one that differs should be named here and not by a tensor error later. Where decoding makes all equal,
  `same_shape` is set to `ignore`.
- A fact that not every kind of reader gives is judged where its column is there.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from umemma import census, duplicates
from umemma.expected import Evidence, Expectation, Table, among, between, columns, filled
from umemma.parameters import Validation
from umemma.sample import SPLITS
from umemma.sample_expectations import MANDATORY

FACTS = ("kind", "num_bytes", "sha256", "blank")  # of every file that is present
KIND_FACTS = {
    "image": ("channels", "height_px", "width_px"), "audio": ("channels", "sample_rate_hz", "seconds"),
    "video": ("height_px", "num_frames", "seconds", "width_px"), "text": ("num_chars",), "vector": ("num_values",),
    "series": ("channels", "num_steps"),
}
UNIFORM = {
    "image": ("height_px", "width_px", "channels"), "audio": ("sample_rate_hz", "channels"),
    "video": ("height_px", "width_px"), "text": (), "vector": ("num_values",), "series": ("channels",),
}
_MIB = 2**20


def present(evidence: Evidence) -> list[Table]:
    """Expect that every column is there that anything is expected of."""
    manifest, required = evidence.manifest, [*MANDATORY, evidence.label_column]
    for name in evidence.index.modalities:
        required.append(f"{name}_present")
        if f"{name}_present" in manifest and (manifest[f"{name}_present"] == True).any():  # noqa: E712  null is not true
            required += [f"{name}_{fact}" for fact in (*FACTS, *KIND_FACTS.get(census.kind(manifest, name), ()))]
    return [Table("samples", manifest.drop(columns="labels", errors="ignore"), [columns(required)])]


def files(evidence: Evidence, bounds: Validation) -> Iterator[Table]:
    """Yield, for each modality that has files, all of them, those of each split, and those of equal content."""
    for name in evidence.index.modalities:
        rows = evidence.manifest[evidence.manifest[f"{name}_present"]].drop(columns="labels", errors="ignore")
        if rows.empty:
            continue
        kind = census.kind(rows, name)
        yield Table(name, rows, [
            among(f"{name}_kind", [kind] if kind in KIND_FACTS else []),
            *(filled(f"{name}_{fact}") for fact in (*FACTS, *KIND_FACTS.get(kind, ()))),
            *_alike(rows, name, kind), *_sized(rows, name, kind, bounds)])
        for split in SPLITS:
            yield Table(f"{split}/{name}", rows[rows["split"] == split], _mostly_sound(rows, name, bounds))
        yield from duplicates.tables(evidence, name)


def _alike(rows: pd.DataFrame, name: str, kind: str) -> Iterator[Expectation]:
    for column in (f"{name}_{fact}" for fact in UNIFORM.get(kind, ())):
        yield among(column, census.most_common(rows, column), "same_shape")
    if (column := f"{name}_has_sound") in rows:
        yield among(column, census.most_common(rows, column), "video_sound")


def _sized(rows: pd.DataFrame, name: str, kind: str, bounds: Validation) -> Iterator[Expectation]:
    """Yield the bounds that hold for every single file."""
    yield between(f"{name}_num_bytes", 1, bounds.max_mib * _MIB, "file_size")
    frames: tuple[int, int | None, str] = (1, 1, "animation") if kind == "image" else (
        bounds.min_frames, None, "video_frames")
    for fact, low, high, expectation in (
        ("height_px", bounds.min_px, bounds.max_px, "size_px"), ("width_px", bounds.min_px, bounds.max_px, "size_px"),
        ("seconds", bounds.min_seconds, bounds.max_seconds, "duration"), ("num_frames", *frames),
        ("num_chars", bounds.min_chars, bounds.max_chars, "text_length"),
        ("num_steps", bounds.min_steps, bounds.max_steps, "series_length"),
    ):
        if f"{name}_{fact}" in rows:
            yield between(f"{name}_{fact}", low, high, expectation)


def _mostly_sound(rows: pd.DataFrame, name: str, bounds: Validation) -> Sequence[Expectation]:
    """Return what may be so of a few files of a split."""
    most = 1 - bounds.max_blank
    expected = {
        "blank": among(f"{name}_blank", [False], "blank", mostly=most),
        "constant": among(f"{name}_constant", [False], "blank", mostly=most),
        "peak": between(f"{name}_peak", bounds.min_peak, None, "silence", mostly=most),
        "clipped": between(f"{name}_clipped", None, bounds.max_clipped, "clipping",
                           mostly=1 - bounds.max_clipped_files),
        "replaced": between(f"{name}_replaced", None, 0, "text_encoding", mostly=1 - bounds.max_replaced),
    }
    return [one for fact, one in expected.items() if f"{name}_{fact}" in rows]
