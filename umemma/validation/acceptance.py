"""The line of `conf/dataset/<name>.yaml` that accepts what an expectation found.

That file is the one to change: `make run DATASET=` composes params.yaml anew from it. A bound is widened to what these
data have; where there is no bound, the severity becomes `warn`. What has no name cannot be accepted.
"""

import math
from collections.abc import Mapping
from typing import Any

from umemma.validation.expectation import Table

BOUNDS: Mapping[str, tuple[str | None, str | None]] = {  # expectation: bound below and above, of `validation`
    "quarantine": (None, "max_quarantined"),
    "label_support": ("min_class_samples", None),
    "class_balance": ("min_class_share", "max_class_share"),
    "presence": ("min_presence", "max_presence"),
    "presence_tells_label": (None, "max_presence_effect"),
    "presence_drift": (None, "max_drift"),
    "class_drift": (None, "max_drift"),
    "file_size": (None, "max_mib"),
    "duration": ("min_seconds", "max_seconds"),
    "size_px": ("min_px", "max_px"),
    "video_frames": ("min_frames", None),
    "text_length": ("min_chars", "max_chars"),
    "series_length": ("min_steps", "max_steps"),
}
SHARES = {  # expectation of most files: the bound of the share of the others
    "blank": "max_blank",
    "silence": "max_blank",
    "clipping": "max_clipped_files",
    "mixing": "max_blank",
    "text_encoding": "max_replaced",
}
_UNITS = {"max_mib": 2**20}  # of what is judged, in one of the bound


def line(name: str, table: Table, kwargs: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """Return `validation: {max_class_share: 0.6}` for a violated expectation; empty if it has no name."""
    if not name:
        return ""
    if name in SHARES:
        share = figures["unexpected_percent_nonmissing"] / 100
        return f"validation: {{{SHARES[name]}: {_up(share)}}}"
    values = table.rows[kwargs["column"]].dropna() if name in BOUNDS else None
    if values is None or values.empty:
        return f"validation: {{severity: {{{name}: warn}}}}"
    low, high = BOUNDS[name]
    bounds = {}
    if low and kwargs.get("min_value") is not None and values.min() < kwargs["min_value"]:
        bounds[low] = _down(float(values.min()))
    if high and kwargs.get("max_value") is not None and values.max() > kwargs["max_value"]:
        bounds[high] = _up(float(values.max()) / _UNITS.get(high, 1))
    return f"validation: {{{', '.join(f'{bound}: {value}' for bound, value in bounds.items())}}}"


def _up(value: float) -> float:
    """Round up to two significant digits, whole numbers not at all."""
    return -_down(-value)


def _down(value: float) -> float:
    if float(value).is_integer():
        return int(value)
    place = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{math.floor(value / place) * place:.6g}")
