"""What about a file tells its label although it says nothing about the content: length, size, rate, format.

All cats are PNG and all dogs JPEG, all laughs are short: a model learns that, is right in the test set, which was made
the same way, and is wrong on anything else. Measured by how often the commonest class among the files of the same length (in
eighths, if there are many) or format is right, against the same with shuffled labels, which is right for more than the
commonest class of all by chance.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from umemma.init.survey import Survey

_CALLED = {
    "audio": {"seconds": "length", "sample_rate_hz": "sample rate", "channels": "number of channels"},
    "video": {"seconds": "length", "fps": "frame rate", "height_px": "height", "width_px": "width"},
    "image": {"height_px": "height", "width_px": "width", "channels": "number of channels"},
    "text": {"num_words": "number of words"},
    "series": {"num_steps": "number of steps"},
    "events": {"num_events": "number of events"},
}
_MOST_VALUES, _BINS = 10, 8
_SHUFFLES = 200
_FEW_FILES = 24  # fewer say too little
_MUCH = 0.2  # of what is left above the commonest class


def giveaways(name: str, kind: str, result: Survey, labels: Mapping[int, int]) -> list[str]:
    """Return a sentence for each property of the files that tells the label; `labels` by row, one class each."""
    known = np.array([labels[row] for row in result.rows])
    if len(known) < _FEW_FILES or len(set(known.tolist())) < 2:
        return []
    properties: dict[str, Sequence[float] | Sequence[str]] = {
        called: result.facts[fact] for fact, called in _CALLED.get(kind, {}).items() if fact in result.facts
    }
    if kind in ("image", "audio", "video"):
        properties["file format"] = result.formats
    sentences = []
    for called, values in properties.items():
        share, majority, is_certain = told(values, known)
        if is_certain and share - majority > _MUCH * (1 - majority):
            sentences.append(
                f"{name}: the {called} of its files alone tells the label of {share:.0%} of {len(known)} of them (the "
                f"commonest class would be right in {majority:.0%}). If that comes from how the data were collected, a "
                "model learns it in place of the content"
            )
    return sentences


def told(values: Sequence[float] | Sequence[str], labels: np.ndarray) -> tuple[float, float, bool]:
    """Return how often the value tells the label, less what chance adds; the share of the commonest class; whether so
    often cannot be by chance.
    """
    bins, classes = _binned(values), np.unique(labels, return_inverse=True)[1]
    generator = np.random.default_rng(0)
    by_chance = [_share_right(bins, generator.permutation(classes)) for _ in range(_SHUFFLES)]
    share, majority = _share_right(bins, classes), float(np.bincount(classes).max() / len(classes))
    return share - float(np.mean(by_chance)) + majority, majority, share > max(by_chance)


def _binned(values: Sequence[float] | Sequence[str]) -> np.ndarray:
    different, bins = np.unique(np.asarray(values), return_inverse=True)
    if len(different) <= _MOST_VALUES:
        return bins
    edges = np.quantile(np.asarray(values, dtype=np.float64), np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.searchsorted(edges, np.asarray(values, dtype=np.float64), side="right")


def _share_right(bins: np.ndarray, classes: np.ndarray) -> float:
    """Return how often the commonest class of a file's bin is its own."""
    counts = np.zeros((bins.max() + 1, classes.max() + 1))
    np.add.at(counts, (bins, classes), 1)
    return float(counts.max(axis=1).sum() / len(classes))
