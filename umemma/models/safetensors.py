"""Weights and the facts needed to rebuild their module, in one safetensors file: loading it runs no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from umemma.errors import DamagedFile
from umemma.files import written_whole


def write(path: Path, state: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able facts; equal content gives equal bytes."""
    with written_whole(path) as temporary:
        save_file(
            {name: value.cpu().contiguous() for name, value in state.items()},
            temporary,
            {"umemma": json.dumps(facts, sort_keys=True)},
        )


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return (tensors, facts). Raises DamagedFile if the file is missing, damaged or another program's."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["umemma"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a mapping)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DamagedFile(f"{path} holds no weights of umemma ({error})", path) from error
