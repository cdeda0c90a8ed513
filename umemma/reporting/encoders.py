"""Which encoders were tried for each modality, for page and terminal; of a modality with a single one there is nothing to say."""

from collections.abc import Mapping
from dataclasses import dataclass

from umemma.reporting.formatting import listed, settings
from umemma.reporting.results import TowerResult, TriedEncoder


@dataclass(frozen=True)
class Row:
    """An encoder that was tried for a modality: its name, its settings in words, what it reached, whether it was kept."""

    modality: str
    name: str
    settings: str
    reached: TriedEncoder
    is_kept: bool


def tried(towers: Mapping[str, TowerResult]) -> list[Row]:
    """Return a row for each encoder of the modalities that had a choice, the best of a modality first."""
    return [
        _row(modality, tower, entry)
        for modality, tower in towers.items()
        if len(tower.tried) > 1
        for entry in sorted(tower.tried, key=_rank)
    ]


def sentence(towers: Mapping[str, TowerResult]) -> str:
    """Return which encoder was kept for each modality, and of which; "" if none had a choice."""
    parts = []
    for modality in dict.fromkeys(row.modality for row in tried(towers)):
        kept, *others = (row.name for row in tried(towers) if row.modality == modality)
        parts.append(f"{modality} {kept} (not {listed(others, 'or')})")
    return ", ".join(parts)


def _row(modality: str, tower: TowerResult, entry: TriedEncoder) -> Row:
    others = {key: value for key, value in entry.encoder.items() if key != "name"}
    best = min(tower.tried, key=_rank)
    return Row(modality, str(entry.encoder["name"]), settings(others) if others else "", entry, entry is best)


def _rank(entry: TriedEncoder) -> float:
    return float("inf") if entry.val_cross_entropy is None else entry.val_cross_entropy
