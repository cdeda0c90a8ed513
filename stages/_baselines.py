"""The baselines on file: what the stage `baselines` writes, and `evaluate` and `account` compare the run with."""

from pathlib import Path

from umemma import json_text
from umemma.evaluation import comparison
from umemma.evaluation.comparison import Model

FOLDER = Path("data/baselines")
NAMES = "names.json"  # of those that were fitted


def rivals(arm: str) -> list[Model]:
    """Return those that were fitted, but for the run's own arm."""
    names = json_text.parsed((FOLDER / NAMES).read_text("utf-8"))
    return [comparison.read(FOLDER / f"{name}.safetensors")[0] for name in names if name != arm]
