"""The end of an ablation: one more experiment, with the predictions of every arm, and its table."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.experiments import Experiments
from flows.processes import Children
from flows.results import Row
from flows.workspace import experiment
from umemma.errors import UmemmaError

PREDICTIONS = Path("data/predictions/model.safetensors")
ARMS_FOLDER = Path("data/arms")  # where the comparing stage finds the predictions of other experiments
PAGE = Path("data/reports/report.html")
NUMBERS = Path("data/reports/arms.json")


class ComparisonFailed(UmemmaError):
    """The comparison could not be made; the message holds the last lines of the failed command."""

    exit_code = 1


def collect(experiments: Experiments, names: Sequence[str], folder: Path) -> dict[str, str]:
    """Copy each experiment's predictions to `folder/NAME.safetensors`; return {name: reason} for the missing ones."""
    gone: dict[str, str] = {}
    for name in names:
        try:
            experiments.fetch(name, PREDICTIONS, folder / f"{name}{PREDICTIONS.suffix}")
        except UmemmaError as error:
            gone[name] = str(error)
    return gone


def compare(
    experiments: Experiments, name: str, overrides: Sequence[str], predictions: Path, *, target: str, children: Children
) -> Path:
    """Run up to `target` with the predictions in place, as experiment `ablation-NAME`; replace an existing one.

    Returns the folder in the workspace to which its report and numbers are copied; it is replaced as a whole.
    """
    title = f"ablation-{name}"
    experiments.remove(title)
    with experiment(experiments.home, overrides, title, lambda line: None) as here:
        experiments.refuse_changes(here.root)
        shutil.copytree(predictions, here.root / ARMS_FOLDER, dirs_exist_ok=True)
        done = children.dvc(
            ["--wait-for-lock", "repro", target],
            cwd=here.root,
            environment=here.environment(),
            on_line=lambda line: None,
        )
        if done.returncode:
            raise ComparisonFailed("the comparison failed:\n  " + "\n  ".join(done.tail))
        experiments.keep(here, title)
        return _publish(here.root, experiments.home / PAGE.parent / "ablation" / name)


def score(numbers: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[str, str]:
    """Return key and name of the headline score: accuracy, or micro F1 where a sample has several labels."""
    has_f1 = any("f1_micro" in cell for of_arm in numbers.values() for cell in of_arm.values())
    return ("f1_micro", "micro F1") if has_f1 else ("accuracy", "accuracy")


def score_rows(numbers: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Row]:
    """Return a row per arm, a column per pattern: the mean in percent, ± spread, and the number of seeds."""
    key, _ = score(numbers)
    patterns = list(dict.fromkeys(pattern for of_arm in numbers.values() for pattern in of_arm))
    return [
        {"arm": arm, **{pattern: _cell(of_arm.get(pattern, {}).get(key)) for pattern in patterns}}
        for arm, of_arm in numbers.items()
    ]


def read_numbers(folder: Path) -> dict[str, Any]:
    """Read the numbers of a comparison: {arm: {pattern: {"accuracy": {"mean", "spread", "n"}, ...}}}, fractions."""
    try:
        numbers: dict[str, Any] = json.loads((folder / NUMBERS.name).read_text())
    except FileNotFoundError as error:
        raise ComparisonFailed(
            f"the stage that writes {PAGE} has not written {NUMBERS}, so there is no table"
        ) from error
    return numbers


def _publish(root: Path, folder: Path) -> Path:
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for path in [root / PAGE, *sorted((root / PAGE.parent).glob("*.json"))]:
        shutil.copyfile(path, fresh / path.name)  # content only, not the mode: an output of DVC may be read-only
    shutil.rmtree(folder, ignore_errors=True)
    return fresh.rename(folder)


def _cell(accuracy: Mapping[str, Any] | None) -> str:
    if accuracy is None or accuracy["mean"] is None:
        return ""
    spread = "" if accuracy["spread"] is None else f" ± {100 * accuracy['spread']:.1f}"
    return f"{100 * accuracy['mean']:.1f}{spread} ({accuracy['n']})"
