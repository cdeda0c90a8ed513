"""Loading pre-trained weights from a local file into a module: every key is accounted for, and no code is run.

A file that fits only partly leaves a half-random network that still trains, only worse, so missing keys, unexpected
keys and mismatched shapes are listed in one error. Accepted is a state dict of tensors, bare or under one of
the keys `state_dict`, `model` and `model_state_dict` of a checkpoint; the prefixes `module.` and `_orig_mod.` of
DataParallel and `torch.compile` are removed where every key has them. For other differences callers pass `rename`.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from umemma.errors import DataError, DownloadError, ParameterError
from umemma.paths import weights_file

LATER = "later"  # as `weights`: they are in the tower's own file, so nothing is read now
_NESTED = ("state_dict", "model", "model_state_dict")
_WRAPPERS = ("module.", "_orig_mod.")
_NUM_LISTED = 8
State = dict[str, torch.Tensor]


def load(
    module: nn.Module,
    path: str | Path,
    *,
    unused: Sequence[str] = (),
    expected_missing: Sequence[str] = (),
    rename: Callable[[str], str] = str,
) -> None:
    """Fill `module` with the weights in `path` (.safetensors, .pth, .pt, .bin): see `weights_file`.

    Keys of the file that start with one of `unused` (its classifier) are ignored; keys of the module that start with
    one of `expected_missing` keep their values; `rename` maps the file's keys, without wrappers, to the module's.
    Raises ParameterError if there is no such file or its keys do not fit, DataError if it holds no weights.
    """
    file = weights_file(path)
    fill(module, read(file), str(file), unused=unused, expected_missing=expected_missing, rename=rename)


def fill(
    module: nn.Module,
    state: Mapping[str, torch.Tensor],
    source: str,
    *,
    unused: Sequence[str] = (),
    expected_missing: Sequence[str] = (),
    rename: Callable[[str], str] = str,
) -> None:
    """Fill `module` with the weights in `state`, as `load` does; `source` names them in errors."""
    expected = module.state_dict()
    renamed = {rename(key): value for key, value in _unwrapped(state, expected).items()}
    given = {key: value for key, value in renamed.items() if key in expected or not key.startswith(tuple(unused))}
    shapes = [
        f"{key} {tuple(value.shape)} for {tuple(expected[key].shape)}"
        for key, value in given.items()
        if key in expected and value.shape != expected[key].shape
    ]
    keys_by_problem = {"of another shape": shapes}
    if not shapes:
        result = module.load_state_dict(given, strict=False)
        keys_by_problem["missing"] = [key for key in result.missing_keys if not key.startswith(tuple(expected_missing))]
        keys_by_problem["unexpected"] = list(result.unexpected_keys)
    problems = "; ".join(f"{len(keys)} {kind}: {_listed(keys)}" for kind, keys in keys_by_problem.items() if keys)
    if problems:
        raise ParameterError(f"{source}: these weights do not fit the model ({problems})")


def read(path: Path) -> State:
    """Return the tensors in a file of weights."""
    if not path.is_file():
        raise ParameterError(f"{path}: there is no such file of weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path}: no readable weights: the file is damaged, or holds Python objects beside tensors, "
            "which are never loaded as that could run any code; save its state dict as .safetensors"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: no readable weights: {reason}") from error
    return _state_dict(content, path)


def from_hub(fetch: Callable[[], State], name: str) -> State:
    """Return the weights that a library downloads, or a DownloadError that says what to do without a network."""
    try:
        return fetch()
    except (OSError, RuntimeError) as error:
        raise DownloadError(
            f"{name}: weights `hub` could not be downloaded ({error}); without a network, set `weights` to a local file"
        ) from error


def _state_dict(content: Any, path: Path) -> State:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: no readable weights: it holds a {type(content).__name__}, not a state dict")
    nested = [key for key in _NESTED if isinstance(content.get(key), Mapping)]
    if len(nested) > 1:
        raise DataError(f"{path}: which weights are meant is not clear: it holds {' and '.join(nested)}")
    state = content[nested[0]] if nested else content
    others = [key for key, value in state.items() if not (isinstance(key, str) and isinstance(value, torch.Tensor))]
    if others or not state:
        raise DataError(
            f"{path}: no readable weights: entries that are no tensors: {_listed(others)}"
            if others
            else f"{path}: no readable weights: it is empty"
        )
    return dict(state)


def _unwrapped(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        if all(key.startswith(wrapper) for key in state) and not any(key.startswith(wrapper) for key in expected):
            return _unwrapped({key.removeprefix(wrapper): value for key, value in state.items()}, expected)
    return state


def _listed(keys: Sequence[object]) -> str:
    rest = len(keys) - _NUM_LISTED
    return ", ".join(map(str, keys[:_NUM_LISTED])) + (f" and {rest} more" if rest > 0 else "")
