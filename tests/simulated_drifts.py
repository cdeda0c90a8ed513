"""`python -m tests.simulated_drifts [--first SEED] [--count N] [--rows N] [--reference N]`: is expected accuracy right where it is given?

Drifts of random kind and size, each in an enumerated world of its own, where the true accuracy is known exactly: how often
the number is withheld, and else within one point of the truth. 20,000 rows and as many test samples leave a sampling error of about a
third of a point, so that one point is a question of bias.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.enumerated_world import NUM_MODALITIES, NUM_PATTERNS, World, X, Y, Z, by_chance, draw, mechanism
from umemma.monitoring.accuracy import Expected, expected
from umemma.monitoring.settings import Settings

REFERENCE_RATES = (0.2, 0.2, 0.2)
POINT = 0.01


@dataclass(frozen=True)
class Drift:
    """p of each cell and of each pattern given the cell, today; `given` (cell,): what is always seen, or None."""

    p: np.ndarray
    table: np.ndarray
    given: np.ndarray | None = None


def _rates(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.05, 0.8, NUM_MODALITIES)


def _scores(rng: np.random.Generator, world: World, values: np.ndarray) -> np.ndarray:
    """Return (cell,) a random, standardised score of each value."""
    levels = rng.normal(size=values.max() + 1)
    score = levels[values]
    mean = world.p @ score
    return (score - mean) / np.sqrt(world.p @ (score - mean) ** 2)


def mcar(rng: np.random.Generator, world: World) -> Drift:
    return Drift(world.p, by_chance(world.p, _rates(rng)))


def mar_seen(rng: np.random.Generator, world: World) -> Drift:
    """Holes depend on what is always seen and no modality."""
    scores = [_scores(rng, world, Z) for _ in range(NUM_MODALITIES)]
    return Drift(world.p, mechanism(world.p, scores, _rates(rng), rng.uniform(0, 2)), Z)


def mar_modality(rng: np.random.Generator, world: World) -> Drift:
    """The first modality is always there, and holes of the others depend on it."""
    score = _scores(rng, world, X[0])
    table = mechanism(world.p, [score] * NUM_MODALITIES, _rates(rng), rng.uniform(0, 2))
    always = np.zeros_like(table)
    for pattern in range(NUM_PATTERNS):
        always[pattern | 1] += table[pattern]
    return Drift(world.p, always, X[0])


def mnar_self(rng: np.random.Generator, world: World) -> Drift:
    scores = [_scores(rng, world, X[m]) for m in range(NUM_MODALITIES)]
    return Drift(world.p, mechanism(world.p, scores, _rates(rng), rng.uniform(0, 2)))


def mnar_label(rng: np.random.Generator, world: World) -> Drift:
    scores = [_scores(rng, world, Y)] * NUM_MODALITIES
    return Drift(world.p, mechanism(world.p, scores, _rates(rng), rng.uniform(0, 2)))


def mnar_unseen(rng: np.random.Generator, world: World) -> Drift:
    """Holes depend on what is not logged."""
    return Drift(world.p, mar_seen(rng, world).table)


def covariate(rng: np.random.Generator, world: World) -> Drift:
    """More or fewer nights, which are seen, and other rates."""
    p = world.p_at(rng.uniform(0.05, 0.95))
    return Drift(p, by_chance(p, _rates(rng)), Z)


KINDS: dict[str, tuple[Callable[[np.random.Generator, World], Drift], int]] = {
    "MCAR, other rates": (mcar, 20),
    "MAR on a covariate": (mar_seen, 15),
    "MAR on a modality": (mar_modality, 15),
    "covariate drift": (covariate, 10),
    "MNAR, by label": (mnar_label, 15),
    "MNAR, by itself": (mnar_self, 15),
    "MNAR, by what is not seen": (mnar_unseen, 10),
}


@dataclass(frozen=True)
class Outcome:
    kind: str
    truth: float
    confidence: float
    found: Expected

    @property
    def is_claimed(self) -> bool:
        return self.found.accuracy is not None

    @property
    def error(self) -> float:
        return abs(self.found.accuracy.value - self.truth)

    @property
    def errors_of_others(self) -> tuple[float, float]:
        """How far off are the mean confidence, and the corrected one if it were never withheld?"""
        corrected = sum(one.share * (one.accuracy or 0.0) for one in self.found.patterns.values())
        return abs(self.confidence - self.truth), abs(corrected - self.truth)

    @property
    def is_covered(self) -> bool:
        return self.found.accuracy.low <= self.truth <= self.found.accuracy.high

    @property
    def is_bounded(self) -> bool:
        return self.found.bounds[0] <= self.truth <= self.found.bounds[1]


def outcome(kind: str, seed: int, *, rows: int, reference: int) -> Outcome:
    """Draw a drift and its samples, and ask what accuracy is to be expected."""
    rng = np.random.default_rng(seed)
    world = World.random(rng)
    drift = KINDS[kind][0](rng, world)
    past = by_chance(world.p, REFERENCE_RATES)
    today = world.today(*draw(rng, drift.p, drift.table, rows), given=drift.given)
    known = world.reference(*draw(rng, world.p, past, reference), given=drift.given)
    truth, confidence = world.accuracy(drift.p, drift.table), float(today.answered.confidence.mean())
    return Outcome(kind, truth, confidence, expected(today, known, Settings()))


def planned(first: int, count: int) -> list[tuple[str, int]]:
    """Return the kind and the seed of `count` drifts, in the proportions of `KINDS`."""
    total = sum(share for _, share in KINDS.values())
    kinds = [kind for kind, (_, share) in KINDS.items() for _ in range(round(share * count / total))]
    return [(kind, first + number) for number, kind in enumerate(kinds)]


def table(outcomes: list[Outcome]) -> str:
    """Return what was found, a line for each kind."""
    head = (
        "drift",
        "of",
        "withheld",
        "given",
        "within 1 point",
        "interval holds it",
        "largest error",
        "withheld, bounds hold it",
    )
    head += ("within 1 point: never withheld", "mean confidence")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kind in [*KINDS, "all"]:
        of_kind = [one for one in outcomes if kind in (one.kind, "all")]
        if not of_kind:
            continue
        claimed = [one for one in of_kind if one.is_claimed]
        withheld = [one for one in of_kind if not one.is_claimed]
        worst = max((one.error for one in claimed), default=0.0)
        raw, corrected = (
            sum(error <= POINT for error in errors)
            for errors in zip(*(one.errors_of_others for one in of_kind), strict=True)
        )
        lines.append(
            f"| {kind} | {len(of_kind)} | {len(withheld)} | {len(claimed)} | {sum(one.error <= POINT for one in claimed)} | "
            f"{sum(one.is_covered for one in claimed)} | {100 * worst:.2f} | {sum(one.is_bounded for one in withheld)} | {corrected} | {raw} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.simulated_drifts", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="seed of the first drift (%(default)s)")
    parser.add_argument("--count", type=int, default=100, help="drifts (%(default)s)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of today (%(default)s)")
    parser.add_argument("--reference", type=int, default=20_000, help="labelled test samples (%(default)s)")
    given = parser.parse_args()
    plan = planned(given.first, given.count)
    print(table([outcome(kind, seed, rows=given.rows, reference=given.reference) for kind, seed in plan]))


if __name__ == "__main__":
    main()
