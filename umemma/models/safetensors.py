"""Weights and the facts needed to rebuild their module, in one safetensors file: loading it runs no code."""

import json
import os
import re
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
    tensors = {name: value.cpu().contiguous() for name, value in state.items()}
    with written_whole(path) as temporary:
        try:
            save_file(tensors, temporary, {"umemma": json.dumps(facts, sort_keys=True)})
        except SafetensorError as error:  # in place of an OSError
            if number := re.search(r"\(os error (\d+)\)", str(error)):
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
            raise


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return (tensors, facts). Raises DamagedFile if the file is missing, damaged or another program's."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["umemma"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a mapping)
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise DamagedFile(f"{path} holds no weights of umemma ({error})", path) from error
