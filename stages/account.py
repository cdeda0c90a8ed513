"""Predictions of all models -> how much is lost information, how much model failure (data/reports/accounting.json).

The run's own model is compared with the towers, their product, specialists, the baselines `linear` and `trees`, and the
other experiments whose predictions `make ablation` puts into data/arms. arms.json holds the table of all arms.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from stages import run
from stages._compared import HEADS, REFERENCE, models, rivals
from umemma import parameters
from umemma.data.settings import Dataset
from umemma.evaluation import accounting, comparison
from umemma.evaluation.comparison import Model
from umemma.evaluation.failure import ADDING
from umemma.files import write_json
from umemma.models import safetensors
from umemma.reporting import results
from umemma.reporting.results import Accounting, Arm, Robustness
from umemma.training.arms import ARMS

PREDICTIONS, OTHER_RUNS = Path("data/predictions"), Path("data/arms")
ADDITIVE_HEADS = ("sum_logits", "mean_logits", "concat", "product_of_experts", "pool")


def others(fingerprint: str, main: Path) -> list[Model]:
    """Return the models of other experiments on the same data; print which were skipped, and why."""
    found = []
    for path in sorted(OTHER_RUNS.glob("*.safetensors")):
        if path.read_bytes() == main.read_bytes():
            continue  # this run's own model
        model, data = comparison.read(path, path.stem)
        if data == fingerprint:
            found.append(model)
        else:
            print(f"skipped: {path.name} is of other data ({data[:12]}; this run's are {fingerprint[:12]})")
    return found


def arm_table(rows: list[Arm]) -> dict[str, dict[str, Any]]:
    """Return {arm: {pattern: {accuracy, utilisation}}}; an arm trained at several rates has an entry for each."""
    rates: dict[str, int] = {}
    for row in rows:
        rates[row.arm] = rates.get(row.arm, 0) + 1
    table = {}
    for row in rows:
        name = row.arm if rates[row.arm] == 1 else f"{row.arm} {_in_words(row.missing_rate)}"
        table[name] = {pattern: scores.content(without={"cross_entropy"}) for pattern, scores in row.patterns.items()}
    return table


def truth(dataset: Dataset) -> Any:
    """Return the true information in each pattern, if the data set's adapter knows it."""
    known = getattr(import_module(f"umemma.sources.adapters.{dataset.adapter}"), "information", None)
    return known(dataset.options) if known else None


def main() -> None:
    """Read all predictions, write the accounting."""
    settings = parameters.read()
    robustness = results.read(Path("data/reports/robustness.json"), Robustness)
    main_model, fingerprint = comparison.read(PREDICTIONS / "model.safetensors")
    compared = [
        main_model,
        *(comparison.read(PREDICTIONS / f"{arm}.safetensors")[0] for arm in ("uni", "ensemble") if arm != settings.arm),
        *models(REFERENCE),
        *models(HEADS),
        *rivals(settings.arm),
        *others(fingerprint, PREDICTIONS / "model.safetensors"),
    ]
    probed, _ = safetensors.read(PREDICTIONS / "probes.safetensors")
    probes = {
        name: (probed[f"{name}/pretrained"], probed[f"{name}/model"])
        for name in settings.dataset.modalities
        if f"{name}/model" in probed
    }
    content = accounting.account(
        compared,
        main=main_model,
        probes=probes or None,
        truth=truth(settings.dataset),
        classes=list(settings.dataset.classes),
        seed=settings.seed,
        rates=settings.evaluate.rates,
        replicates=settings.evaluate.bootstrap_replicates,
        is_additive=settings.arm in ADDING or robustness.training.head in ADDITIVE_HEADS,
    )
    for row in content["arms"]:
        row["about"] = ARMS[row["arm"]].about if row["arm"] in ARMS else ""
    account = Accounting.model_validate({"dataset": robustness.dataset, **content})
    results.write(Path("data/reports/accounting.json"), account)
    write_json(Path("data/reports/arms.json"), arm_table(account.arms))


def _in_words(missing_rate: dict[str, float] | None) -> str:
    rates = list((missing_rate or {}).values())
    if len(set(rates)) == 1:
        return f"{rates[0]:g}"
    return " ".join(f"{name} {rate:g}" for name, rate in (missing_rate or {}).items()) or "not trained"


if __name__ == "__main__":
    run(main)
