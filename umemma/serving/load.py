"""`umemma.load`, apart from what it loads: tables and media are read by libraries that training in memory does not need."""

from pathlib import Path
from typing import TYPE_CHECKING

from umemma.errors import ParameterError

if TYPE_CHECKING:
    from umemma.serving.model import Model


def load(folder: str | Path, *, device: str = "cpu") -> "Model":
    """Load an exported model; `device`: auto, cpu, cuda. Raises DataError if it is damaged or of another version."""
    try:
        from umemma.serving import model
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"a model reads tables and media, and {error.name} is not installed: pip install 'umemma[data]'"
        ) from error
    return model.load(folder, device=device)
