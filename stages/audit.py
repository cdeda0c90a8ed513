"""The run's model and its masks -> what holds of them and what does not (data/reports/gates.json); it never fails."""

from pathlib import Path
from typing import Any

from umemma import parameters
from umemma.data import manifest
from umemma.data.sample import SPLITS
from umemma.errors import run
from umemma.evaluation import comparison, leak_audit
from umemma.evaluation.comparison import Model
from umemma.evaluation.settings import Evaluate
from umemma.files import read_json, write_json
from umemma.models import checkpoint, safetensors
from umemma.prediction import predictions
from umemma.training import masks
from umemma.training.context import Course, load

_NUM_SAMPLES = 64  # of the test set, on which the model is audited for leaks


def no_leak(course: Course, path: Path, arm: str) -> dict[str, Any]:
    """Plant NaN, infinity and strangers in what is missing: logits stay bit-identical, gradients zero."""
    batch = course.media["test"]
    checked, failures = leak_audit.audit(checkpoint.load(path), batch.rows(slice(0, min(len(batch), _NUM_SAMPLES))))
    return _gate("no leak", checked, [f"{arm}, {one}" for one in failures])


def realised_rates(course: Course, described: dict[str, Any], classes: list[str]) -> dict[str, Any]:
    """Hold the masks on file against the rates that were asked for."""
    drawn, _ = safetensors.read(Path("data/masks/masks.safetensors"))
    rates = tuple(described["missing_rate"][name] for name in course.modalities)
    plan = masks.Plan(described["protocol"], rates, described["seed"])
    return _gate(
        "realised missing rates",
        *masks.deviations({split: drawn[split] for split in SPLITS}, course.media, plan, classes),
    )


def never_below(evaluate: Evaluate, seed: int) -> dict[str, Any]:
    """Hold the run's answers against those of its towers."""
    own, towers = ((one, *predictions.read(Path(f"data/answers/{one}.safetensors"))) for one in ("answers", "uni"))
    main_model, uni = (
        Model(name, facts["arm"], facts["seed"], facts["missing_rate"], facts["budget"], splits)
        for name, splits, facts in (own, towers)
    )
    return comparison.gate_never_below(
        main_model, uni, seed=seed, replicates=evaluate.bootstrap_replicates, significance=evaluate.significance
    )


def main() -> None:
    """Judge, write."""
    settings = parameters.read()
    targets = manifest.targets(Path("data/shards/manifest.parquet"), len(settings.dataset.classes))
    course = load(
        settings.dataset,
        targets,
        decoded_folder=Path("data/decoded"),
        encoded_folder=Path("data/encoded"),
        tower_folder=Path("data/towers"),
        fuse=settings.fuse,
        pretrain=settings.pretrain,
        compute=settings.compute,
        seed=settings.seed,
    )
    gates = [
        no_leak(course, Path("data/model/model.safetensors"), settings.arm),
        never_below(settings.evaluate, settings.seed),
        realised_rates(course, read_json(Path("data/reports/masks.json")), list(settings.dataset.classes)),
    ]
    write_json(Path("data/reports/gates.json"), {"passed": all(one["passed"] for one in gates), "gates": gates})


def _gate(name: str, checked: int, failures: list[str]) -> dict[str, Any]:
    return {"gate": name, "passed": not failures, "checked": checked, "failures": failures}


if __name__ == "__main__":
    run(main)
