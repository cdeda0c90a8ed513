"""What the page says of the data before any model: presence, patterns, classes, as rows for its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.reporting.formatting import listed, percent, quoted, rate
from umemma.reporting.results import Statistics

TRAIN = "train"
MOST_PATTERNS = 12
SIGNIFICANT, NOTABLE = 0.01, 0.02  # p of a test, and the gain in accuracy that is worth a sentence
RARE, FREQUENT = 0.05, 0.7  # shares in training: below the one a class is rare, above the other it hides the rest


@dataclass(frozen=True)
class Classes:
    """Labels by class and split, the most frequent in training first; `several`: samples may have more than one."""

    rows: Sequence[tuple[str, Mapping[str, int]]]
    total: int

    @property
    def most(self) -> int:
        """Training samples of the most frequent class."""
        return self.rows[0][1][TRAIN]

    @property
    def sentence(self) -> str:
        """How even the classes are."""
        (first, most), (last, least) = self.rows[0], self.rows[-1]
        share = rate(round(most[TRAIN] / self.total, 3) if self.total else 0.0)
        return (
            f"{len(self.rows)} classes: {quoted(first)} is the most frequent, with {most[TRAIN]:,} training samples ({share}), "
            f"{quoted(last)} the rarest, with {least[TRAIN]:,}."
        )

    @property
    def has_rare(self) -> bool:
        """Whether accuracy alone hides how the rare classes fare."""
        shares = [counts[TRAIN] / self.total for _, counts in self.rows] if self.total else []
        return bool(shares) and (min(shares) < RARE or max(shares) > FREQUENT)


def classes(statistics: Statistics) -> Classes | None:
    """Return the classes, None where no statistics are known."""
    by_split = statistics.classes
    if not by_split:
        return None
    names = sorted(by_split[TRAIN], key=lambda name: -by_split[TRAIN][name])
    return Classes(
        [(name, {split: counts[name] for split, counts in by_split.items()}) for name in names],
        statistics.splits[TRAIN],
    )


def presence_tells(statistics: Statistics) -> str | None:
    """Return the sentence that presence alone tells the label, where it does so beyond chance and to an effect."""
    found = statistics.presence_tells_label
    if found is None or found.accuracy is None or found.majority is None:
        return None
    names = [name for name, test in found.modalities.items() if test.p < SIGNIFICANT]
    if not names or found.accuracy - found.majority < NOTABLE:
        return None
    return (
        f"Whether a sample has {listed(names, 'or')} tells its class: from that alone, without a look at what is there, "
        f"{percent(found.accuracy)} of the test samples are predicted right, against {percent(found.majority)} for the most "
        "frequent class. Part of what the model reaches may be this."
    )


def patterns(statistics: Statistics) -> list[tuple[str, dict[str, int]]]:
    """Return how many samples of each split have exactly these modalities; rare patterns are one row, "others"."""
    by_split = statistics.patterns
    totals: dict[str, int] = {}
    for counts in by_split.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    ranked = sorted(totals, key=lambda name: -totals[name])
    shown = ranked if len(ranked) <= MOST_PATTERNS else ranked[: MOST_PATTERNS - 1]
    rows = [(name, {split: counts.get(name, 0) for split, counts in by_split.items()}) for name in shown]
    if rest := [name for name in ranked if name not in shown]:
        others = {split: sum(counts.get(name, 0) for name in rest) for split, counts in by_split.items()}
        rows.append((f"{len(rest)} others", others))
    return rows
