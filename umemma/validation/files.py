"""Expectations of the files of one modality, from the facts that `umemma/media/facts.py` puts into the manifest.

- Files of one modality share one shape (pixels, sample rate, channels, length), the most common one. Training stacks
  them, so a file that differs should be reported here rather than by a tensor error later. If decoding makes all equal,
  `same_shape` is set to `ignore`.
- The facts judged for each kind are in KIND_FACTS; if the manifest lacks one of them, the first step fails.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from umemma.data.sample import SPLITS
from umemma.validation import duplicates, statistics
from umemma.validation.expectation import Evidence, Expectation, Table, among, between, columns, filled
from umemma.validation.samples import MANDATORY
from umemma.validation.settings import Validation

FACTS = ("kind", "num_bytes", "sha256", "blank")  # of every file that is present
KIND_FACTS = {
    "image": ("channels", "deep", "height_px", "num_frames", "range_used", "width_px"),
    "audio": ("channels", "clipped_share", "constant", "mix_level", "peak", "sample_rate_hz", "seconds"),
    "video": ("has_sound", "height_px", "num_frames", "seconds", "width_px"),
    "text": ("num_chars", "num_replaced"),
    "vector": ("num_missing", "num_values"),
    "series": ("channels", "num_missing", "num_steps"),
    "events": ("num_events",),
}
UNIFORM = {
    "image": ("height_px", "width_px", "channels"),
    "audio": ("sample_rate_hz", "channels"),
    "video": ("height_px", "width_px"),
    "text": (),
    "vector": ("num_values",),
    "series": ("channels",),
    "events": (),
}
_MIB = 2**20


def present(evidence: Evidence) -> list[Table]:
    """Expect every column that any expectation uses."""
    manifest, required = evidence.manifest, [*MANDATORY, evidence.label_column]
    for name in evidence.index.modalities:
        required.append(f"{name}_present")
        if f"{name}_present" in manifest and (manifest[f"{name}_present"] == True).any():  # noqa: E712  null is not true
            required += [f"{name}_{fact}" for fact in (*FACTS, *KIND_FACTS.get(statistics.kind(manifest, name), ()))]
    return [Table("samples", manifest.iloc[:0], [columns(required)])]


def files(evidence: Evidence, bounds: Validation) -> Iterator[Table]:
    """Yield, for each modality that has files, tables of all files, of each split, and of equal contents; then of copies."""
    for name in evidence.index.modalities:
        rows = evidence.manifest[evidence.manifest[f"{name}_present"]].drop(columns="labels", errors="ignore")
        if rows.empty:
            continue
        kind = statistics.kind(rows, name)
        yield Table(
            name,
            rows,
            [
                among(f"{name}_kind", [kind] if kind in KIND_FACTS else []),
                *(filled(f"{name}_{fact}") for fact in (*FACTS, *KIND_FACTS.get(kind, ()))),
                *_alike(rows, name, kind),
                *_every(name, kind, bounds),
            ],
        )
        for split in SPLITS:
            yield Table(f"{split}/{name}", rows[rows["split"] == split], _most(name, kind, bounds))
        if contents := duplicates.table(evidence, name):
            yield contents
    yield duplicates.samples(evidence)


def _alike(rows: pd.DataFrame, name: str, kind: str) -> Iterator[Expectation]:
    for fact in UNIFORM.get(kind, ()):
        yield among(f"{name}_{fact}", statistics.most_common(rows, f"{name}_{fact}"), "same_shape")
    if kind == "image":
        yield among(f"{name}_deep", statistics.most_common(rows, f"{name}_deep"), "same_depth")
    if kind == "video":
        yield among(f"{name}_has_sound", statistics.most_common(rows, f"{name}_has_sound"), "video_sound")


def _every(name: str, kind: str, bounds: Validation) -> list[Expectation]:
    """Return what must hold for every file."""
    px, seconds = (bounds.min_px, bounds.max_px, "size_px"), (bounds.min_seconds, bounds.max_seconds, "duration")
    limits: Mapping[str, Mapping[str, tuple[float, float | None, str]]] = {
        "image": {"height_px": px, "width_px": px, "num_frames": (1, 1, "animation")},
        "audio": {"seconds": seconds, "peak": (0, bounds.max_peak, "value_range")},
        "video": {
            "height_px": px,
            "width_px": px,
            "seconds": seconds,
            "num_frames": (bounds.min_frames, None, "video_frames"),
        },
        "text": {"num_chars": (bounds.min_chars, bounds.max_chars, "text_length")},
        "series": {"num_steps": (bounds.min_steps, bounds.max_steps, "series_length")},
    }
    return [
        between(f"{name}_num_bytes", 1, bounds.max_mib * _MIB, "file_size"),
        *(between(f"{name}_{fact}", *limit) for fact, limit in limits.get(kind, {}).items()),
    ]


def _most(name: str, kind: str, bounds: Validation) -> list[Expectation]:
    """Return what must hold for most files of a split."""
    # A vector of one number, or of three zeros, is no damaged file.
    expected = [] if kind == "vector" else [among(f"{name}_blank", [False], "blank", mostly=1 - bounds.max_blank)]
    if kind == "audio":
        expected += [
            among(f"{name}_constant", [False], "blank", mostly=1 - bounds.max_blank),
            between(f"{name}_peak", bounds.min_peak, None, "silence", mostly=1 - bounds.max_blank),
            between(f"{name}_mix_level", bounds.min_mix, None, "mixing", mostly=1 - bounds.max_blank),
            between(f"{name}_clipped_share", None, bounds.max_clipped, "clipping", mostly=1 - bounds.max_clipped_files),
        ]
    if kind == "image":
        expected.append(
            between(f"{name}_range_used", bounds.min_range, None, "value_range", mostly=1 - bounds.max_blank)
        )
    if kind == "text":
        expected.append(between(f"{name}_num_replaced", None, 0, "text_encoding", mostly=1 - bounds.max_replaced))
    return expected
