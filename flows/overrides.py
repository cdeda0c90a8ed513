"""`-S key=value`, applied to a project's parameters as by `dvc exp run -S`, with helpful errors.

The two functions behind DVC's `-S` do the work: with `hydra.enabled` params.yaml is composed anew from `conf/` and the
overrides, else the values are changed in place. So `-S dataset=NAME` chooses a data set, and all other parameters are
reset to those of `conf/`, even if params.yaml differs.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides as change_values
from dvc.utils.hydra import compose_and_dump, to_hydra_overrides
from dvc.utils.serialize import load_path
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from umemma import composition, resolvers
from umemma.errors import ParameterError

PARAMS_FILE = ParamsDependency.DEFAULT_PARAMS_FILE


def apply_overrides(root: Path, overrides: Sequence[str]) -> list[str]:
    """Change the parameter file under `root`; return its relative path in a list, for git."""
    changes = checked_form(overrides)
    if not changes:
        return []
    path, hydra, before = root / PARAMS_FILE, _hydra(root), _before(root)
    try:
        if hydra.get("enabled", False):
            compose(root, hydra, path, changes)
        else:
            resolvers.forget_foreign()
            change_values(path, changes)
    except (HydraException, OmegaConfBaseException, DvcException, FileNotFoundError) as error:
        raise ParameterError(_explain(PARAMS_FILE, changes, error, before)) from error
    return [PARAMS_FILE]


def check_overrides(root: Path, overrides: Sequence[str], scratch: Path) -> None:
    """Raise for an invalid override, writing only to the file `scratch` (a .yaml)."""
    changes, hydra = checked_form(overrides), _hydra(root)
    if not changes or not hydra.get("enabled", False):
        return
    before = _before(root)
    try:
        compose(root, hydra, scratch, changes)
    except (HydraException, OmegaConfBaseException) as error:
        raise ParameterError(_explain(PARAMS_FILE, changes, error, before)) from error


def checked_form(overrides: Sequence[str]) -> list[str]:
    """Return overrides without their file name; nothing is read or written yet.

    They may come from anyone who is allowed to start a run. Raises ParameterError for a file other than params.yaml,
    which DVC would change anywhere on the disk, for a sweep, and for Hydra's own settings (where it looks for files).
    """
    by_file = to_path_overrides(overrides)
    for path, changes in by_file.items():
        if path != PARAMS_FILE:
            raise ParameterError(
                f"-S {path}:{changes[0]}: {path!r} is not {PARAMS_FILE}, the one file that a run changes"
            )
        _refuse_others(changes)
    return by_file.get(PARAMS_FILE, [])


def compose(root: Path, hydra: dict[str, Any], output: Path, overrides: Sequence[str]) -> None:
    """Write the parameters composed from the project's Hydra configuration and the overrides."""
    module = hydra.get("config_module")
    resolvers.forget_foreign()
    compose_and_dump(
        output,
        None if module else str(root / hydra.get("config_dir", "conf")),
        module,
        hydra.get("config_name", "config"),
        str(root / hydra.get("plugins_path", "")),
        list(overrides),
    )


def _hydra(root: Path) -> dict[str, Any]:
    settings: dict[str, Any] = Config(dvc_dir=str(root / ".dvc")).get("hydra", {})
    return settings


def _before(root: Path) -> Any:
    from dvc.fs import localfs

    return load_path(str(root / PARAMS_FILE), localfs) if (root / PARAMS_FILE).is_file() else {}


def _refuse_others(overrides: Sequence[str]) -> None:
    try:
        parsed = to_hydra_overrides(list(overrides))
    except HydraException as error:
        raise ParameterError(f"-S {' '.join(overrides)}: not of the form key=value. {_one_line(error)}") from error
    for override in parsed:
        if override.is_sweep_override():
            raise ParameterError(
                f"-S {override.input_line}: several values are a sweep, and a run has one; start one run for each"
            )
        if re.match(r"hydra\b", override.key_or_group):
            raise ParameterError(f"-S {override.input_line}: how Hydra itself works is no parameter of a run")


def _explain(path: str, overrides: Sequence[str], error: Exception, before: Any) -> str:
    """Return which override is invalid, with the valid keys next to an unknown one."""
    if found := composition.unknown_key(error, before):
        key, sentence = found
        override = next((line for line in overrides if line.lstrip("+~").startswith(key)), key)
        return f"-S {override}: {path}{sentence}"
    text = _one_line(error)
    return f"-S {' '.join(overrides)}: {path} cannot be made. {text}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
