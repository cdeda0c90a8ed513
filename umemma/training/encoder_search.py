"""Choosing a modality's encoder among a few, by the cross-entropy of their calibrated towers on validation data.

The budget is a number of encoders, not of seconds: the same settings choose the same encoder on any machine. All see
the same samples and start from the same seed. What the others cost is in the tower's result, not in the arms' budget of
training samples: it was spent on the choice, and a tower that starts from its encoder alone needs none of it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from umemma.data.batch import Batch
from umemma.errors import TrainingError
from umemma.settings import Settings
from umemma.training import unimodal_fit
from umemma.training.unimodal_fit import TrainedTower

CRITERION = "val_cross_entropy"
_KEPT = (CRITERION, "val_accuracy", "samples_seen")


def best(
    encoders: Sequence[Settings], data: Mapping[str, Batch], fit: Callable[[Settings], TrainedTower]
) -> tuple[TrainedTower, dict[str, Any]]:
    """Train a tower for each of `encoders` with `fit`; return the best and its result.

    The result of `unimodal_fit.report` has the name of the `encoder`, what was `tried`, in order, and `why` one was
    chosen. One that diverges loses to any other; raises TrainingError if all do.
    """
    towers: list[tuple[TrainedTower, dict[str, Any], int]] = []
    tried: list[dict[str, Any]] = []
    for number, encoder in enumerate(encoders):
        entry: dict[str, Any] = {"encoder": dict(encoder)}
        try:
            trained = fit(encoder)
        except TrainingError as error:
            tried.append(entry | {"failed": str(error)})
            continue
        result = unimodal_fit.report(trained, data)
        towers.append((trained, result, number))
        tried.append(entry | {key: result[key] for key in _KEPT})
    if not towers:
        raise TrainingError("; ".join(entry["failed"] for entry in tried))
    trained, result, number = min(towers, key=lambda tower: tower[1][CRITERION])
    return trained, {**result, "encoder": encoders[number]["name"], "tried": tried, "why": _why(tried, number)}


def _why(tried: Sequence[Mapping[str, Any]], chosen: int) -> str:
    others = sorted(
        (entry[CRITERION], entry["encoder"]["name"])
        for number, entry in enumerate(tried)
        if number != chosen and CRITERION in entry
    )
    if not others:
        return "the only encoder" if len(tried) == 1 else "the only encoder whose training did not diverge"
    return (
        f"lowest cross-entropy on validation data: {tried[chosen][CRITERION]:.4f}, "
        f"then {', '.join(f'{name} {value:.4f}' for value, name in others)}"
    )
