"""Whether DVC records of a stage what it ran with: it reads params.yaml again when the stage has ended.

Whoever edits the file during a run, or changes the branch, would else get a result under values that it was not made
with, and everything after would take it for what it says.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from umemma.errors import ParameterError

FILE, PIPELINE = Path("params.yaml"), Path("dvc.yaml")  # the former also in umemma.parameters, which imports far more


@contextmanager
def as_it_began() -> Iterator[None]:
    """Raise ParameterError at the end if a parameter that DVC records of this stage is not what it was at the start."""
    before = recorded()
    yield
    if changed := [key for key, value in recorded().items() if value != before.get(key)]:
        raise ParameterError(
            f"{FILE} was changed while this stage ran, by an editor or a change of branch: {', '.join(changed)}. DVC would record "
            "values that this result was not made with, so the stage has failed; the same command makes it again"
        )


def recorded() -> dict[str, Any]:
    """Return the parameters that dvc.yaml declares for the stage that DVC runs, by key; none outside of DVC."""
    if "DVC_STAGE" not in os.environ:
        return {}
    stage = _content(PIPELINE)["stages"].get(os.environ["DVC_STAGE"].partition("@")[0], {})
    content = _content(FILE)
    declared = [key for key in stage.get("do", stage).get("params", []) if isinstance(key, str)]
    keys = [key.partition("${")[0].rstrip(".") for key in declared]  # of one modality: all modalities
    return {key: _value(content, key) for key in dict.fromkeys(keys)}


def _value(content: Any, key: str) -> Any:
    for name in key.split("."):
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def _content(path: Path) -> Any:
    try:
        return YAML(typ="safe").load(path.read_text("utf-8")) or {}
    except (OSError, ValueError, YAMLError) as error:
        raise ParameterError(f"{path} cannot be read while a stage runs: {error}") from error
