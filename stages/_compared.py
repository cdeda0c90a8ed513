"""The models on file that a run is compared with: those of `baselines`, `reference` and `heads`."""

from pathlib import Path

from stages import NAMES
from umemma import json_text
from umemma.evaluation import comparison
from umemma.evaluation.comparison import Model

BASELINES, REFERENCE, HEADS = Path("data/baselines"), Path("data/reference"), Path("data/heads")


def models(folder: Path) -> list[Model]:
    """Return those in a folder, in the order in which they were written."""
    names = json_text.parsed((folder / NAMES).read_text("utf-8"))
    return [comparison.read(folder / f"{name}.safetensors")[0] for name in names]


def rivals(arm: str) -> list[Model]:
    """Return the baselines that were fitted, but for the run's own arm."""
    return [model for model in models(BASELINES) if model.arm != arm]
