"""Models in the enumerated world whose answers are known in every cell, as the predictions that the account reads."""

import numpy as np
import torch

from tests.enumerated_world import CELLS, NUM_MODALITIES, NUM_PATTERNS, SHOWN, World, Y, draw
from umemma.evaluation.bootstrap import Resamples
from umemma.evaluation.comparison import Model
from umemma.evaluation.known import Candidates
from umemma.missingness import Pattern
from umemma.prediction.predictions import Predictions

FLAGS: list[Pattern] = [tuple(map(bool, shown)) for shown in SHOWN]  # by the pattern's number
NUMBER = {flags: number for number, flags in enumerate(FLAGS)}
EVERYTHING = (True,) * NUM_MODALITIES
INTERSECTION = np.array([[a & b for b in range(NUM_PATTERNS)] for a in range(NUM_PATTERNS)])


def bayes(world: World) -> np.ndarray:
    """Return (pattern, cell, class): the exact p(y | what the pattern shows)."""
    return np.stack([world.posterior(number) for number in range(NUM_PATTERNS)])


def cross_entropy(world: World, answers: np.ndarray) -> np.ndarray:
    """Return (pattern,) the exact cross-entropy in nats."""
    return -np.log(answers[:, CELLS, Y]) @ world.p


def information(world: World) -> dict[Pattern, float]:
    """Return the exact v(S) = I(X_S; Y)."""
    left = cross_entropy(world, bayes(world))
    return dict(zip(FLAGS, left[0] - left, strict=True))


def model(name: str, answers: np.ndarray, drawn: dict[str, tuple[np.ndarray, np.ndarray]], arm: str = "") -> Model:
    """Return a model with its predictions for drawn cells and patterns (sample,) of each split."""
    splits = {}
    for split, (cell, has) in drawn.items():
        logits = {
            flags: torch.from_numpy(np.log(answers[INTERSECTION[number][has], cell])).float()
            for number, flags in enumerate(FLAGS)
        }
        splits[split] = Predictions(
            tuple(f"x{m + 1}" for m in range(NUM_MODALITIES)),
            torch.from_numpy(SHOWN[has]),
            torch.from_numpy(Y[cell]),
            torch.arange(len(cell)),
            torch.arange(len(cell)),
            logits,
        )
    return Model(name, arm or name, 0, None, None, splits)


def everything(world: World, count: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw cells of which everything is there."""
    return drawn(world, np.stack([0 * world.p] * (NUM_PATTERNS - 1) + [0 * world.p + 1]), count, seed)


def drawn(world: World, table: np.ndarray, count: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Draw cells and patterns of a test split and of a validation split of at most 1,000."""
    rng = np.random.default_rng(seed)
    return {split: draw(rng, world.p, table, size) for split, size in (("val", min(count, 1_000)), ("test", count))}


def candidates(models: list[Model], replicates: int = 200) -> tuple[Candidates, Resamples]:
    """Return the candidates of an account whose own model is the first, and its resamples."""
    resamples = Resamples(models[0].splits["test"].group, replicates=replicates, seed=0)
    return Candidates(models, models[0], resamples), resamples
