"""Saving and loading the model of any arm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from umemma.models import early_fusion, grown, linear_experts, safetensors, trees
from umemma.models.early_fusion import EarlyFusion
from umemma.models.late_fusion import LateFusion
from umemma.models.linear_experts import LinearExperts
from umemma.models.per_pattern import PerPattern
from umemma.models.trees import Trees

Model = LateFusion | EarlyFusion | PerPattern | Trees | LinearExperts


def save(model: Model, path: Path, *, classes: Sequence[str]) -> None:
    """Write the whole model to one file."""
    state = {name: value.clone() for name, value in model.state_dict().items()}  # per-pattern models share encoders
    safetensors.write(path, state, {"classes": list(classes), "model": model.facts()})


def load(path: Path) -> Model:
    """Load a model in eval mode. Raises DamagedFile if the file holds none."""
    state, facts = safetensors.read(path)
    model = _blank(facts["model"], len(facts["classes"]))
    model.load_state_dict(state)
    return model.eval()


def _blank(facts: Mapping[str, Any], num_classes: int) -> Model:
    if facts["kind"] == "panel":
        members = {
            tuple(bit == "1" for bit in bits): _blank(member, num_classes) for bits, member in facts["members"].items()
        }
        takes = {tuple(bit == "1" for bit in bits): names for bits, names in facts["takes"].items()}
        return PerPattern(members, takes, torch.zeros(num_classes))
    blanks: Mapping[str, Any] = {
        "early": early_fusion.blank,
        **dict.fromkeys(("late", "grown", "without"), grown.blank),
        "linear": linear_experts.blank,
        "trees": trees.blank,
    }
    return cast(Model, blanks[facts["kind"]](facts, num_classes))
