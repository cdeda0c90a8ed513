"""The fused model and the towers -> every missing pattern and rate on the test split (data/reports/robustness.json)."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from umemma import compute, decoded, evaluation, late_fusion, manifest, parameters, towers, weights
from umemma.batch import Batch
from umemma.encoding import encode_split
from umemma.errors import run
from umemma.files import write_json
from umemma.metrics import log_prior
from umemma.parameters import Fuse, missing_rates
from umemma.sample import SPLITS


def evaluate(
    model: late_fusion.LateFusion, tower_logits: dict[str, torch.Tensor], test: Batch, prior: torch.Tensor, *,
    compute_: parameters.Compute, evaluate_: parameters.Evaluate,
) -> dict[str, Any]:
    """Return `patterns` and `rates`: one pass through each encoder, then every pattern through the head."""
    device = compute.set_up(compute_)
    features = encode_split(model.to(device).parts(), test, batch_size=evaluate_.batch_size, device=device,
                      autocast=partial(compute.autocast, compute_, device))
    table = evaluation.tabulate(model.cpu(), features, test.present, test.label, prior)
    return evaluation.results(table, tower_logits, test.label, evaluate_.rates)


def arm(fuse: Fuse, modalities: list[str]) -> str:
    """Return the name of this way of training: what was trained after the towers, and whether with holes."""
    if fuse.towers == "frozen":
        nothing_trained = fuse.head == "product_of_experts" and fuse.substitute != "learned"
        return "ensemble" if nothing_trained else "frozen"
    return "ume-mma" if max(missing_rates(fuse, modalities)) > 0 else "ump"


def main() -> None:
    """Load model, towers and test data; write the results."""
    settings = parameters.read()
    dataset, names = settings.dataset, list(settings.dataset.modalities)
    targets = manifest.targets(Path("data/shards/manifest.parquet"))
    arrays = {name: Path("data/decoded") / dataset.name / name for name in names}
    test = decoded.load(arrays, "test", targets.label["test"], targets.key["test"])
    tower_logits = {}
    for name in names:
        folder = Path("data/towers") / dataset.name / name
        encoded, _ = weights.read(folder / "features.safetensors")
        with torch.no_grad():
            tower_logits[name] = towers.load(folder / "tower.safetensors").answer(encoded["test"])
    found = evaluate(late_fusion.load(Path("data/model/model.safetensors")), tower_logits, test,
                     log_prior(targets.label["train"], len(dataset.classes)), compute_=settings.compute,
                     evaluate_=settings.evaluate)
    write_json(Path("data/reports/robustness.json"), {
        "dataset": {"name": dataset.name, "fingerprint": decoded.fingerprint(arrays, targets.label),
                    "n": {split: len(targets.label[split]) for split in SPLITS}},
        "arm": arm(settings.fuse, names), "seed": settings.seed, **found,
    })


if __name__ == "__main__":
    run(main)
