"""The frozen part of an encoder, as its settings tell it: what that part computes is kept like a decoded file.

`trainable: frozen` and `head` leave a pre-trained network as it is, so a sample's features never change: they are
computed once, for all seeds, arms and settings of what is trained on them. `described` is all that they depend on but
the decoded arrays. It is a file of its own (data/features/<data set>/_frozen), so that DVC computes them anew exactly if that has changed.
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

_OF_WHAT_IS_TRAINED = {one.name for one in fields(Tuning)} - {"weights"}


def described(settings: Settings) -> dict[str, Any] | None:
    """Return an encoder's `settings` without those of what is trained, and its weights' sha256; None: not frozen.

    Without a digest are weights from a hub: their library checks what it downloads. Raises ParameterError where a file
    of weights is missing, or settings contradict each other.
    """
    if not has_frozen_backbone(settings):
        return None
    rest(settings)
    kept = {key: value for key, value in settings.items() if key not in _OF_WHAT_IS_TRAINED}
    return {"settings": kept, "weights_sha256": _digest(settings)}


def settings_of(description: Mapping[str, Any]) -> Settings:
    """Return the settings of an encoder that is the trunk alone."""
    return {**description["settings"], "trainable": "frozen"}


def rest(settings: Settings) -> Settings:
    """Return the settings of the encoder that is trained on a frozen trunk's features.

    Raises ParameterError where they contradict each other.
    """
    given = {one.name: settings[one.name] for one in fields(Tuning) if one.name in settings}
    tuning = Tuning(**{"weights": HUB, **given})
    try:
        tuning.check()
    except ValueError as error:
        raise ParameterError(str(error)) from error
    return {"name": "projection", "dim": tuning.dim, "dropout": tuning.projection_dropout}


def trained_part(settings: Settings) -> Settings:
    """Return the settings of the encoder that is trained: all of them, or what follows a frozen trunk."""
    return rest(settings) if has_frozen_backbone(settings) else settings


def _digest(settings: Settings) -> str | None:
    name, _, variant = str(settings["name"]).partition(":")
    weights = settings.get("weights", HUB)
    if weights != HUB:
        path = weights_file(str(weights))
        if not path.is_file():
            raise ParameterError(f"{path}: there is no such file of weights")
        return _of([path])
    folder = hub.folder(variant) if name == "transformers" else None
    return _of(sorted(one for one in folder.iterdir() if one.is_file())) if folder else None


def _of(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
