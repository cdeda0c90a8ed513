"""The model that the arm `grown` starts from, as the project keeps it: weights, and what its encoders read.

`make grow` writes the folder out of a model folder, below data/base; its name is the beginning of the model's digest.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umemma.errors import ParameterError
from umemma.files import read_json, write_json, written_whole
from umemma.models import checkpoint
from umemma.models.late_fusion import LateFusion
from umemma.settings import Settings

DIGITS = 12  # of the digest, in the folder's name
_WEIGHTS, _FACTS = "weights.safetensors", "base.json"


def write(folder: Path, weights: Path, *, digest: str, classes: Sequence[str], decode: Mapping[str, Settings]) -> None:
    """Write `folder`; `decode` {modality: settings of its decoder}. Raises ParameterError if `weights` cannot be grown."""
    _late_fusion(weights)
    with written_whole(folder) as temporary:
        temporary.mkdir()
        shutil.copyfile(weights, temporary / _WEIGHTS)
        of_modality = {name: dict(settings) for name, settings in decode.items()}
        write_json(temporary / _FACTS, {"digest": digest, "classes": list(classes), "decode": of_modality})


def read(folder: Path, *, classes: Sequence[str], decode: Mapping[str, Settings]) -> LateFusion:
    """Return the model. Raises ParameterError if it is of other classes, or reads arrays decoded in another way."""
    facts: dict[str, Any] = read_json(folder / _FACTS)
    if facts["classes"] != list(classes):
        raise ParameterError(f"dataset.classes must be those of the base model {folder.name}: {facts['classes']}")
    for name, settings in facts["decode"].items():
        if name in decode and dict(decode[name]) != settings:
            raise ParameterError(
                f"dataset.modalities.{name}.decode must be that of the base model {folder.name}: {settings}"
            )
    return _late_fusion(folder / _WEIGHTS)


def _late_fusion(weights: Path) -> LateFusion:
    model = checkpoint.load(weights)
    if not isinstance(model, LateFusion):
        raise ParameterError(
            f"{weights}: only a model of late fusion can be grown, one network for each modality; this is a "
            f"{type(model).__name__}"
        )
    return model
