"""Pre-trained weights out of a local file into a module: every key of both sides accounted for, and no code run.

A file that fits only in part leaves a network half random that still trains, only worse, so what is missing, what is
left over and what has another shape are one error that lists them. Accepted is a state dict of tensors, bare or as the
one entry `state_dict`, `model` or `model_state_dict` of a checkpoint; `module.` and `_orig_mod.`, which DataParallel
and `torch.compile` put before every key, are taken off where every key has them. Any other difference in names is the
caller's to state, in `rename`.
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

LATER = "later"  # as `weights`: they come with a tower's own file, so nothing is to be read now
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

    Keys of the file that begin with one of `unused` (its classifier) are left out; keys of the module that begin with
    one of `expected_missing` stay as they are; `rename` turns the file's keys, their wrappers gone, into the module's.
    Raises ParameterError where there is no such file or its keys do not fit, DataError where it holds no weights.
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
    """Fill `module` with the weights in `state`, as `load` does; `source` is what an error calls them."""
    own = module.state_dict()
    named = {rename(key): value for key, value in _unwrapped(state, own).items()}
    given = {key: value for key, value in named.items() if key in own or not key.startswith(tuple(unused))}
    shapes = [
        f"{key} {tuple(value.shape)} for {tuple(own[key].shape)}"
        for key, value in given.items()
        if key in own and value.shape != own[key].shape
    ]
    troubles = {"of another shape": shapes}
    if not shapes:
        result = module.load_state_dict(given, strict=False)
        troubles["missing"] = [key for key in result.missing_keys if not key.startswith(tuple(expected_missing))]
        troubles["unexpected"] = list(result.unexpected_keys)
    told = "; ".join(f"{len(keys)} {kind}: {_listed(keys)}" for kind, keys in troubles.items() if keys)
    if told:
        raise ParameterError(f"{source}: these weights do not fit the model ({told})")


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


def _unwrapped(state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        if all(key.startswith(wrapper) for key in state) and not any(key.startswith(wrapper) for key in own):
            return _unwrapped({key.removeprefix(wrapper): value for key, value in state.items()}, own)
    return state


def _listed(keys: Sequence[object]) -> str:
    rest = len(keys) - _NUM_LISTED
    return ", ".join(map(str, keys[:_NUM_LISTED])) + (f" and {rest} more" if rest > 0 else "")
