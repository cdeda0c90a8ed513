"""Bounds and severities of the gate between data and training."""

from typing import Literal

from umemma.settings import Count, Fraction, Positive, Section

Severity = Literal["error", "warn", "ignore"]


class Severities(Section):
    """What follows where an expectation does not hold: `error` stops the pipeline, `warn` is printed and reported.

    `ignore`: it is not judged, and the report says so. What is not listed here (columns, keys, splits, labels in range,
    shards as indexed, one kind of file in a modality) is always an error: nothing could be computed without it.
    """

    quarantine: Severity
    group_leakage: Severity
    duplicates_across_splits: Severity
    duplicates_within_split: Severity
    conflicting_labels: Severity
    label_support: Severity
    classes_in_every_split: Severity
    class_balance: Severity
    labels_per_sample: Severity
    presence: Severity
    presence_drift: Severity
    class_drift: Severity
    same_shape: Severity
    file_size: Severity
    blank: Severity
    silence: Severity
    clipping: Severity
    duration: Severity
    size_px: Severity
    animation: Severity
    video_frames: Severity
    video_sound: Severity
    text_length: Severity
    text_encoding: Severity
    series_length: Severity


class Validation(Section):
    """Bounds of the gate between data and training; shares are of one split."""

    max_quarantined: Fraction
    min_class_samples: Count
    min_class_share: Fraction
    max_class_share: Fraction
    min_presence: Fraction
    max_presence: Fraction
    max_drift: Fraction
    max_mib: Positive
    max_blank: Fraction
    min_peak: Fraction
    max_clipped: Fraction
    max_clipped_files: Fraction
    min_seconds: Positive
    max_seconds: Positive
    min_px: Count
    max_px: Count
    min_frames: Count
    min_chars: Count
    max_chars: Count
    max_replaced: Fraction
    min_steps: Count
    max_steps: Count
    severity: Severities
