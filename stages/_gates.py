"""The gates on the run's model and its masks: the last part of `evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages._base import base_of
from stages._compared import rivals
from umemma.data.batch import Batch
from umemma.data.sample import SPLITS
from umemma.evaluation import comparison, leak_audit
from umemma.evaluation import unchanged as unchanged_answers
from umemma.evaluation.settings import Evaluate
from umemma.models import safetensors
from umemma.models.checkpoint import Model
from umemma.models.late_fusion import LateFusion
from umemma.parameters import Parameters
from umemma.reporting import results
from umemma.reporting.results import Gates, Masks
from umemma.training import masks
from umemma.training.arms import ARMS
from umemma.training.context import TrainingContext
from umemma.training.hiding import Hiding, Plan

_NUM_SAMPLES = 64  # of the test set, on which the model is audited for leaks


def no_leak(model: Model, test: Batch, arm: str) -> dict[str, Any]:
    """Fill missing modalities with NaN, infinity and other samples: logits stay bit-identical, gradients zero."""
    checked, failures = leak_audit.audit(model.cpu(), test.rows(slice(0, _NUM_SAMPLES)))
    return _gate("no leak", checked, [f"{arm}, {failure}" for failure in failures])


def realised_rates(context: TrainingContext, plan: Plan, classes: list[str]) -> dict[str, Any]:
    """Compare the masks on file with the requested rates."""
    drawn, _ = safetensors.read(Path("data/masks/masks.safetensors"))
    return _gate(
        "realised missing rates",
        *masks.deviations(
            {split: drawn[split] for split in SPLITS}, context.media, Hiding(plan, context.media), classes
        ),
    )


def never_below(evaluate: Evaluate, seed: int) -> dict[str, Any]:
    """Compare the run's predictions with those of its towers."""
    main_model, uni = (
        comparison.read(Path(f"data/predictions/{name}.safetensors"), name)[0] for name in ("model", "uni")
    )
    return comparison.gate_never_below(
        main_model, uni, seed=seed, replicates=evaluate.bootstrap_replicates, significance=evaluate.significance
    )


def baselines(found: Sequence[comparison.Model], evaluate: Evaluate, seed: int) -> dict[str, Any]:
    """Compare the run's predictions with those of what a sceptic would try first."""
    main_model = comparison.read(Path("data/predictions/model.safetensors"), "model")[0]
    return comparison.gate_baselines(
        main_model, found, seed=seed, replicates=evaluate.bootstrap_replicates, significance=evaluate.significance
    )


def unchanged(model: Model, base: LateFusion, context: TrainingContext) -> dict[str, Any]:
    """Compare the answers of a grown model with those of its base, wherever it has nothing new."""
    test = context.media["test"]
    return _gate(
        "answers of the base model",
        *unchanged_answers.compare(model, base, test, context.log_prior, device=context.device),
    )


def judge(settings: Parameters, context: TrainingContext, model: Model) -> Gates:
    """Return the content of data/reports/gates.json; a failed gate does not raise: the report is written first."""
    below = never_below(settings.evaluate, settings.seed)
    gates = [
        no_leak(model, context.media["test"], settings.arm),
        below if ARMS[settings.arm].keeps_up else comparison.as_finding(below),
    ]
    if others := rivals(settings.arm):
        gates.append(baselines(others, settings.evaluate, settings.seed))
    base = base_of(settings)
    if base is not None:
        gates.append(unchanged(model, base, context))
    drawn = results.read(Path("data/reports/masks.json"), Masks)
    if drawn.protocol is not None and drawn.missing_rate is not None and drawn.seed is not None:
        rates = tuple(drawn.missing_rate[name] for name in context.modalities)
        plan = Plan(drawn.protocol, rates, drawn.seed, drawn.slope or 0.0)
        gates.append(realised_rates(context, plan, list(settings.dataset.classes)))
    return Gates.model_validate({"passed": all(gate["passed"] for gate in gates), "gates": gates})


def _gate(name: str, checked: int, failures: list[str]) -> dict[str, Any]:
    return {"gate": name, "passed": not failures, "checked": checked, "failures": failures}
