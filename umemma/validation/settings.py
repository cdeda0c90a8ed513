"""Bounds and severities of the gate between data and training."""

from typing import Literal

from umemma.settings import Count, Fraction, Positive, Section

Severity = Literal["error", "warn", "ignore"]


class Severities(Section):
    """Effect of a violated expectation: `error` stops the pipeline, `warn` is printed and reported.

    `ignore`: not judged, and the report says so. Whatever is not listed here (columns, keys, splits, labels in range,
    shards as indexed, one kind of file in a modality) is always an error: nothing could be computed without it.
    """

    quarantine: Severity
    """At most `max_quarantined` of the samples are unusable."""
    group_leakage: Severity
    """No group - a recording, person, film - is in two splits."""
    duplicates_across_splits: Severity
    """No content of a file is in two splits; numbers and short texts are no files."""
    duplicates_within_split: Severity
    """No file's content occurs twice in a split."""
    conflicting_labels: Severity
    """No file's content has different labels."""
    copies: Severity
    """No sample is in two splits with all that it has; a few numbers alone are not judged."""
    label_support: Severity
    """Every class has `min_class_samples` training samples."""
    classes_in_every_split: Severity
    """Every class has at least one sample in every split."""
    class_balance: Severity
    """Class shares lie between `min_class_share` and `max_class_share`."""
    labels_per_sample: Severity
    """With several labels per sample, every sample has at least one."""
    presence: Severity
    """Presence rates lie between `min_presence` and `max_presence`."""
    gaps: Severity
    """At most `max_gaps` of the numbers in a modality of vectors or series were not measured."""
    presence_tells_label: Severity
    """No modality's presence tells the label beyond chance and `max_presence_effect`."""
    presence_drift: Severity
    """Presence rates moved by at most `max_drift` since the accepted version."""
    class_drift: Severity
    """Class shares moved by at most `max_drift` since the accepted version."""
    same_shape: Severity
    """Files of a modality share pixels, channels, sample rate or length; `ignore` where decoding makes them equal."""
    same_depth: Severity
    """All gray images of a modality have eight bits a value, or all have more: these are scaled to eight by
    `decode.min_value` and `max_value`, the others are taken as they are, and mixed they do not mean the same.
    """
    file_size: Severity
    """No file is larger than `max_mib`."""
    blank: Severity
    """At most `max_blank` of the files are blank."""
    silence: Severity
    """At most `max_blank` of the recordings stay below `min_peak`."""
    clipping: Severity
    """At most `max_clipped_files` of the recordings are clipped."""
    mixing: Severity
    """At most `max_blank` of the recordings become silent when their channels are averaged (`min_mix`), as two of opposite
    polarity do; `ignore` where `decode.channel` takes one.
    """
    value_range: Severity
    """At most `max_blank` of the images of 16 bits use less than `min_range` of what these can hold, as those of cameras
    of twelve bits do, and no recording exceeds `max_peak`, as floats that hold the numbers of 16 bits do; `ignore`
    where `decode.max_value` or `decode.full_scale` says what is white or loudest.
    """
    duration: Severity
    """Sounds and videos last `min_seconds` to `max_seconds`."""
    size_px: Severity
    """Images and videos measure `min_px` to `max_px`."""
    animation: Severity
    """Images have one frame; of several the first is used."""
    video_frames: Severity
    """Videos have `min_frames` frames or more."""
    video_sound: Severity
    """All videos of a modality have sound, or none has."""
    text_length: Severity
    """Texts have `min_chars` to `max_chars` characters."""
    text_encoding: Severity
    """At most `max_replaced` of the texts have lost characters."""
    series_length: Severity
    """Series have `min_steps` to `max_steps` steps."""


class Validation(Section):
    """Bounds of the gate between data and training; shares are of one split."""

    max_quarantined: Fraction
    """Largest share of unusable samples among those judged."""
    min_class_samples: Count
    """Fewest training samples of every class."""
    min_class_share: Fraction
    """Smallest share of a split's labels that a class may have."""
    max_class_share: Fraction
    """Largest share of a split's labels that a class may have."""
    min_presence: Fraction
    """Smallest share of a split's samples that must have a modality; one present in fewer cannot be learned."""
    max_presence: Fraction
    """Largest share of a split's samples that may have a modality."""
    max_gaps: Fraction
    """Largest share of the numbers in vectors and series that were not measured."""
    max_presence_effect: Fraction
    """Largest Cramer's V of presence against label, from 0 (presence tells nothing) to 1 (presence is the label)."""
    max_drift: Fraction
    """Largest change of a presence or class share since the accepted version, beyond chance (three standard errors)."""
    max_mib: Positive
    """Largest file, in MiB."""
    max_blank: Fraction
    """Largest share of blank files: images of one colour, silent or constant recordings, texts of white space, series
    of one value.
    """
    min_peak: Fraction
    """Peak below which a recording is silence; full scale is 1."""
    max_clipped: Fraction
    """Largest share of a recording's values at full scale; a recording with more is clipped."""
    max_clipped_files: Fraction
    """Largest share of recordings that are clipped."""
    min_mix: Fraction
    """Least loudness of the average of a recording's channels, as a share of that of the loudest channel."""
    min_range: Fraction
    """Least largest value of an image of 16 bits, as a share of 65,535: below a tenth, fewer than 26 gray levels are left
    of it.
    """
    max_peak: Positive
    """Largest peak of a recording; full scale is 1, which floats may exceed a little."""
    min_seconds: Positive
    """Shortest sound or video."""
    max_seconds: Positive
    """Longest sound or video."""
    min_px: Count
    """Smallest height and width of an image or video."""
    max_px: Count
    """Largest height and width of an image or video."""
    min_frames: Count
    """Fewest frames of a video."""
    min_chars: Count
    """Fewest characters of a text."""
    max_chars: Count
    """Most characters of a text."""
    max_replaced: Fraction
    """Largest share of texts in which characters were lost before (U+FFFD)."""
    min_steps: Count
    """Fewest steps of a series."""
    max_steps: Count
    """Most steps of a series."""
    severity: Severities
