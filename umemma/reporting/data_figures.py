"""What the page says of the data before any model: presence, patterns, classes, as rows for its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umemma.reporting.formatting import quoted, rate
from umemma.reporting.results import Statistics

TRAIN = "train"
MOST_PATTERNS = 12
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
