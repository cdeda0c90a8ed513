"""The frozen part of an encoder, derived from its settings: its features are cached like decoded arrays.

`trainable: frozen` and `head` never update a pre-trained network, so a sample's features never change: they are
computed once, for all seeds, arms and settings of the trained part. `described` returns everything they depend on
except the decoded arrays. It is saved as a separate file (data/features/<data set>/_frozen), so that features are
recomputed exactly if it has changed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from umemma import hub
from umemma.errors import ParameterError
from umemma.models.settings import HUB, has_frozen_backbone
from umemma.models.tuning import Tuning
from umemma.paths import weights_file
from umemma.settings import Settings

_SETTINGS_OF_TRAINED_PART = {field.name for field in fields(Tuning)} - {"weights"}


def described(settings: Settings) -> dict[str, Any] | None:
    """Return an encoder's `settings` without those of the trained part, and its weights' sha256; None: not frozen.

    Weights from a hub have no digest: their library checks its downloads. Raises ParameterError if a file of weights
    is missing, or settings contradict each other.
    """
    if not has_frozen_backbone(settings):
        return None
    rest(settings)
    kept = {key: value for key, value in settings.items() if key not in _SETTINGS_OF_TRAINED_PART}
    return {"settings": kept, "weights_sha256": _digest(settings)}


def settings_of(description: Mapping[str, Any]) -> Settings:
    """Return the settings of an encoder that is the frozen backbone alone."""
    return {**description["settings"], "trainable": "frozen"}


def rest(settings: Settings) -> Settings:
    """Return the settings of the encoder that is trained on a frozen backbone's features.

    Raises ParameterError if they contradict each other.
    """
    given = {field.name: settings[field.name] for field in fields(Tuning) if field.name in settings}
    tuning = Tuning(**{"weights": HUB, **given})
    try:
        tuning.check()
    except ValueError as error:
        raise ParameterError(str(error)) from error
    return {"name": "projection", "dim": tuning.dim, "dropout": tuning.projection_dropout}


def trained_part(settings: Settings) -> Settings:
    """Return the settings of the encoder that is trained: all of them, or those of the part after a frozen backbone."""
    return rest(settings) if has_frozen_backbone(settings) else settings


def _digest(settings: Settings) -> str | None:
    name, _, variant = str(settings["name"]).partition(":")
    weights = settings.get("weights", HUB)
    if weights != HUB:
        path = weights_file(str(weights))
        if not path.is_file():
            raise ParameterError(f"{path}: there is no such file of weights")
        return _sha256_of([path])
    folder = hub.folder(variant) if name == "transformers" else None
    return _sha256_of(sorted(file for file in folder.iterdir() if file.is_file())) if folder else None


def _sha256_of(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
