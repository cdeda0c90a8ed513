"""A world whose joint p(z, y, x1, x2, x3) is enumerated, with a model that is too sure in it, and exact truth.

A cell is one (z, y, x1, x2, x3): z is always seen and no modality (at night, z = 1, x2 is noisier), y is the label, and
often x3 is x2 + y. The model multiplies p(y) and p(y | x_m) / p(y) of what is there, so it counts twice what two
modalities share. Patterns are numbers: bit m of one says whether modality m is there.
"""

import numpy as np
from scipy import optimize, special

from umemma.monitoring.samples import Answered, Reference, Today

NUM_MODALITIES, NUM_CLASSES, SYMBOLS = 3, 3, 4
NUM_PATTERNS = 2**NUM_MODALITIES
SHOWN = np.array([[r >> m & 1 for m in range(NUM_MODALITIES)] for r in range(NUM_PATTERNS)]).astype(bool)
Z, Y, *_symbols = (axis.ravel() for axis in np.indices((2, NUM_CLASSES, *[SYMBOLS] * NUM_MODALITIES)))
X = np.stack(_symbols)
CELLS = np.arange(len(Y))
CODE = SHOWN * SYMBOLS ** np.arange(NUM_MODALITIES) @ X  # (pattern, cell): what a pattern shows of a cell


PRIOR = [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
GOOD = [[0.55, 0.7, 0.4], [0.55, 0.2, 0.4]]


class World:
    """p of each cell, and a model in it.

    `prior` (z, class); `good` (z, modality): how often a symbol is the label's own, otherwise it is any; `together`: how
    often x3 is x2 + y; `night`: how often z is 1.
    """

    def __init__(self, prior=PRIOR, good=GOOD, together: float = 0.4, night: float = 0.4) -> None:
        self._prior, self._good, self._together = np.asarray(prior), np.asarray(good), together
        self.p = self.p_at(night)
        self.model = self._product()
        self.right = (self.model.argmax(axis=2) == Y).astype(float)  # (pattern, cell)

    @classmethod
    def random(cls, rng: np.random.Generator) -> "World":
        """Return a world that nobody has tuned anything in."""
        prior, good = rng.dirichlet(np.full(NUM_CLASSES, 4.0), size=2), rng.uniform(0.15, 0.75, (2, NUM_MODALITIES))
        return cls(prior, good, rng.uniform(0, 0.6), rng.uniform(0.2, 0.8))

    def p_at(self, night: float) -> np.ndarray:
        """Return p of each cell if it were night in this share of the time."""
        good = self._good[Z].T
        one = good * (X == Y) + (1 - good) / SYMBOLS
        together = one[0] / SYMBOLS * (X[2] == (X[1] + Y) % SYMBOLS)
        given = one.prod(axis=0) + self._together * (together - one.prod(axis=0))
        return np.array([1 - night, night])[Z] * self._prior[Z, Y] * given

    def posterior(self, pattern: int) -> np.ndarray:
        """Return (cell, class): p(y | what the pattern shows)."""
        return posterior(self.p, pattern)

    def _product(self) -> np.ndarray:
        """Return (pattern, cell, class): the product of experts."""
        prior, towers = self.posterior(0), np.stack([self.posterior(1 << m) for m in range(NUM_MODALITIES)])
        votes = prior * np.stack([(towers[shown] / prior).prod(axis=0) for shown in SHOWN])
        return votes / votes.sum(axis=2, keepdims=True)

    def answered(self, pattern, cell) -> Answered:
        """Return the model's answers to cells, from a pattern each, or from one."""
        probability = self.model[pattern, cell]
        decided = probability.argmax(axis=1)[:, None] == np.arange(NUM_CLASSES)
        return Answered(decided, probability.max(axis=1))

    def today(self, cell, pattern, given=None) -> Today:
        """Return unlabelled rows; `given` (cell,) is always seen."""
        return Today(SHOWN[pattern], self.answered(pattern, cell), np.arange(len(cell)), _given(cell, given))

    def reference(self, cell, pattern, given=None) -> Reference:
        """Return labelled samples, answered under every pattern; `given` (cell,) is always seen."""
        patterns = {tuple(map(bool, SHOWN[r])): r for r in range(NUM_PATTERNS)}
        return Reference(
            SHOWN[pattern],
            {shown: self.answered(r, cell) for shown, r in patterns.items()},
            {shown: self.right[r, cell] for shown, r in patterns.items()},
            np.arange(len(cell)),
            _given(cell, given),
        )

    def accuracy(self, p: np.ndarray, table: np.ndarray) -> float:
        """Return the exact accuracy under p of each cell and a mechanism."""
        return float((p * table * self.right).sum())


def posterior(p: np.ndarray, pattern: int) -> np.ndarray:
    """Return (cell, class): p(y | what the pattern shows) under any p of each cell."""
    table = np.bincount(CODE[pattern] * NUM_CLASSES + Y, p, SYMBOLS**NUM_MODALITIES * NUM_CLASSES) + 1e-300
    table = table.reshape(-1, NUM_CLASSES)
    return (table / table.sum(axis=1, keepdims=True))[CODE[pattern]]


def mechanism(p: np.ndarray, scores, rates, slope: float) -> np.ndarray:
    """Return (pattern, cell): modalities vanish independently given the cell; each intercept is solved for its rate.

    `scores` (modality, cell): what each modality's absence depends on, with this slope in its log-odds.
    """
    away = []
    for score, rate in zip(scores, rates, strict=True):
        at = optimize.brentq(lambda a, s=score, r=rate: p @ special.expit(slope * s + a) - r, -60, 60)
        away.append(special.expit(slope * score + at))
    return np.stack([np.where(shown[:, None], 1 - np.stack(away), np.stack(away)).prod(axis=0) for shown in SHOWN])


def by_chance(p: np.ndarray, rates) -> np.ndarray:
    """Return the mechanism of modalities that are missing completely at random."""
    return mechanism(p, [0.0 * p] * NUM_MODALITIES, rates, 0.0)


def draw(rng: np.random.Generator, p: np.ndarray, table: np.ndarray, count: int):
    """Return the cell and the pattern (sample,) of as many samples."""
    cell = rng.choice(CELLS, size=count, p=p / p.sum())
    pattern = (table[:, cell].cumsum(axis=0) < rng.random(count)).sum(axis=0).clip(max=NUM_PATTERNS - 1)
    return cell, pattern


def _given(cell, given) -> np.ndarray:
    return np.zeros((len(cell), 0)) if given is None else given[cell][:, None].astype(float)
