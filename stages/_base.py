"""The model that the arm `grown` starts from; apart from `_context`, so that no change of it concerns a tower."""

from pathlib import Path

from umemma.models import base_model
from umemma.models.late_fusion import LateFusion
from umemma.parameters import NO_BASE, Parameters


def base_of(settings: Parameters) -> LateFusion | None:
    """Return the base model; None for any other arm."""
    if settings.base == NO_BASE:
        return None
    decode = {name: modality.decode for name, modality in settings.dataset.modalities.items()}
    return base_model.read(Path(settings.base), classes=settings.dataset.classes, decode=decode)


def base_files(settings: Parameters) -> list[Path]:
    """Return what is read for it."""
    return [] if settings.base == NO_BASE else [Path(settings.base)]
