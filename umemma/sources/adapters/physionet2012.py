"""PhysioNet / Computing in Cardiology Challenge 2012: 12,000 stays in intensive care, 37 variables over 48 hours.

Decisions:

- Ten groups of variables that are measured together are the modalities (`GROUPS`), missing where none of a group's
  variables was measured. `static` is a vector, NaN where -1 is recorded; the ward is four numbers, one for each kind.
  Every other group is a list of its measurements as they were written, (minutes, number of the variable, value): what
  is made of them, bins or statistics, is the decoder's business. Weight at admission is static, later ones are vital.
- The label is death in hospital. Length of stay and survival are outcomes, SAPS-I and SOFA sums of the same variables.
- `split: 1` to `5` are the splits of Raindrop (Zhang et al., ICLR 2022), in which papers report: 9,590 / 1,199 / 1,199
  stays, all that have a measurement. null draws 8:1:1 by death with `seed`, and keeps the 12 stays without measurements.
- A value that is impossible (`GROUPS` has the limits; -1 and a temperature of -17.8, which is 0 F, are holes) is dropped
  and counted, and so is a row without the name of a variable. Each set is a folder of text files or an archive of it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from umemma.data.sample import BadSample, Rejected, Sample
from umemma.errors import DataError, ParameterError
from umemma.sources.layouts import archives, lists
from umemma.sources.layouts.lists import Row
from umemma.sources.tables.series import npy

STATIC: Mapping[str, tuple[float, float]] = {
    "Age": (0, 120),
    "Gender": (0, 1),
    "Height": (100, 250),
    "Weight": (20, 400),
    "ICUType": (1, 4),
}
NUM_WARDS = 4  # coronary care, cardiac surgery recovery, medical, surgical
GROUPS: Mapping[str, Mapping[str, tuple[float, float]]] = {  # the lowest and the highest value that is possible
    "neuro": {"GCS": (3, 15)},
    "vitals": {
        "HR": (1, 350),
        "RespRate": (1, 120),
        "Temp": (20, 45),
        "NIDiasABP": (1, 300),
        "NIMAP": (1, 300),
        "NISysABP": (1, 350),
        "Weight": (20, 400),
    },
    "arterial": {"DiasABP": (1, 300), "MAP": (1, 300), "SysABP": (1, 350)},
    "gas": {
        "FiO2": (0.2, 1),
        "MechVent": (0, 1),
        "PaCO2": (5, 250),
        "PaO2": (10, 800),
        "SaO2": (10, 100),
        "pH": (6.5, 8),
        "Lactate": (0.05, 50),
    },
    "chemistry": {
        "BUN": (0.5, 300),
        "Creatinine": (0.05, 50),
        "Glucose": (5, 2500),
        "HCO3": (1, 80),
        "K": (1, 25),
        "Mg": (0.1, 20),
        "Na": (80, 220),
    },
    "blood": {"HCT": (3, 80), "Platelets": (1, 3000), "WBC": (0.01, 1000)},
    "liver": {
        "ALP": (1, 10_000),
        "ALT": (1, 50_000),
        "AST": (1, 50_000),
        "Albumin": (0.3, 8),
        "Bilirubin": (0, 100),
        "Cholesterol": (10, 1000),
    },
    "cardiac": {"TroponinI": (0, 1000), "TroponinT": (0, 1000)},
    "urine": {"Urine": (0, 8000)},
}
SETS, SPLITS = ("a", "b", "c"), (1, 2, 3, 4, 5)
SPLITS_FILES = ("raindrop_splits.csv.xz", "raindrop_splits.csv.gz", "raindrop_splits.csv")
_OUTCOME = "In-hospital_death"
_HEADER = "Time,Parameter,Value"
_PLACES = {variable: (group, n) for group, limits in GROUPS.items() for n, variable in enumerate(limits)}
_MINUTES = 48 * 60


class Adapter:
    """Random access to the stays. Raises DataError for a set or a list that is missing or invalid."""

    modalities = ("static", *GROUPS)

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "physionet2012",
        split: int | None = 1,
        seed: int = 0,
        sets: Sequence[str] = SETS,
    ) -> None:
        if split is not None and split not in SPLITS:
            raise ParameterError(f"dataset.options.split: {split!r} is none of 1, 2, 3, 4, 5 and null")
        if not sets or set(sets) - set(SETS):
            raise ParameterError(f"dataset.options.sets: {sets!r} is no list of {', '.join(SETS)}")
        base = lists.folder_with(root, folder, [f"Outcomes-{name}.txt" for name in sets])
        died = {key: died for name in sets for key, died in outcomes(base / f"Outcomes-{name}.txt").items()}
        self._files = {
            Path(file).stem: (place, content)
            for name in sets
            for file, place, content in archives.files(base, f"set-{name}", ".txt")
        }
        rows = [Row(key, "train", label, key, str(self._files.get(key, (base,))[0])) for key, label in died.items()]
        split_of = _drawn(rows, seed) if split is None else official(base, split)
        self.rejected = [
            Rejected(key, split_of.get(key, ""), str(base), reason)
            for reason, keys in (
                ("its outcome is known, but it is in no set", died.keys() - self._files.keys()),
                ("its outcome is not known", self._files.keys() - died.keys()),
            )
            for key in sorted(keys & split_of.keys())
        ]
        known = [row for row in rows if row.key in self._files and row.key in split_of]
        self._rows: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
        for row in known:
            self._rows[split_of[row.key]].append(row)
        self.num_samples: Mapping[str, int] = {name: len(part) for name, part in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Return stay `index` of `split`. Raises BadSample if its file is damaged."""
        row = self._rows[split][index]
        place, content = self._files[row.key]
        static, measured, dropped = read(content, f"{place}", row.key)
        members = {"static.npy": npy(static)} if np.isfinite(static).any() else {}
        members |= {f"{group}.events": npy(np.array(rows, np.float32)) for group, rows in measured.items() if rows}
        return Sample(
            row.key, split, row.label, row.group, members, dict.fromkeys(members, str(place)), dropped=dropped
        )


def read(
    content: bytes, place: str, key: str
) -> tuple[np.ndarray, dict[str, list[tuple[float, int, float]]], dict[str, int]]:
    """Return a stay's static vector, the measurements of each group by time, and how many values were left out."""
    header, *lines = content.decode("ascii", "replace").splitlines() or [""]
    if header.strip() != _HEADER:
        raise BadSample(place, f"{key}: its first line is {header[:60]!r}, not {_HEADER!r}", key)
    static: dict[str, float] = {}
    measured: dict[str, list[tuple[float, int, float]]] = {group: [] for group in GROUPS}
    dropped: Counter[str] = Counter()
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        minutes, variable, value = _fields(line, place, key, number)
        if variable in STATIC and variable not in static:  # Weight comes again, as a measurement
            low, high = STATIC[variable]
            static[variable] = value if low <= value <= high else math.nan
            if value != -1 and not low <= value <= high:
                dropped[f"impossible {variable}"] += 1
        elif variable in _PLACES:
            group, position = _PLACES[variable]
            low, high = GROUPS[group][variable]
            if low <= value <= high:
                measured[group].append((minutes, position, value))
            else:
                dropped[f"impossible {variable}"] += 1
        elif variable != "RecordID":
            dropped[f"unknown variable {variable!r}" if variable else "no name of a variable"] += 1
    for rows in measured.values():
        rows.sort(key=lambda row: row[0])
    return _vector(static), measured, dict(dropped)


def outcomes(path: Path) -> dict[str, int]:
    """Return {record: 1 if the patient died in hospital, else 0}."""
    lines = lists.lines(path)
    columns = [name.strip() for name in lines[0][1].split(",")] if lines else []
    if columns[:1] != ["RecordID"] or _OUTCOME not in columns:
        raise DataError(f"{path}: its first line does not name RecordID and {_OUTCOME}")
    died = {}
    for where, line in lines[1:]:
        fields = dict(zip(columns, (field.strip() for field in line.split(",")), strict=False))
        if fields.get(_OUTCOME) not in ("0", "1"):
            raise DataError(f"{where}: {_OUTCOME} is {fields.get(_OUTCOME)!r}, not 0 or 1")
        died[fields["RecordID"]] = int(fields[_OUTCOME])
    return died


def official(base: Path, split: int) -> dict[str, str]:
    """Return {record: train, val or test} of one of Raindrop's five splits."""
    found = [base / name for name in SPLITS_FILES if (base / name).exists()]
    if not found:
        raise DataError(
            f"{base} holds no {SPLITS_FILES[0]} (columns split, part, RecordID), which dataset.options.split={split} "
            "needs; dataset.options.split=null draws a split"
        )
    try:
        table = pd.read_csv(found[0], dtype={"RecordID": str})
        chosen = table[table["split"] == split]
        split_of = dict(zip(chosen["RecordID"], chosen["part"], strict=True))
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise DataError(f"{found[0]} is no table of split, part and RecordID: {error}") from error
    if set(split_of.values()) != {"train", "val", "test"} or len(split_of) != len(chosen):
        raise DataError(
            f"{found[0]}: split {split} has no train, val and test (but {', '.join(sorted(set(split_of.values()))) or 'nothing'}), "
            "or has a stay twice"
        )
    return split_of


def _drawn(rows: Sequence[Row], seed: int) -> dict[str, str]:
    return lists.drawn({row.group: row.label for row in rows}, {"train": 0.8, "val": 0.1, "test": 0.1}, seed)


def _fields(line: str, place: str, key: str, number: int) -> tuple[float, str, float]:
    try:
        time, variable, value = line.split(",")
        hours, minutes = time.split(":")
        at, measured = float(60 * int(hours) + int(minutes)), float(value)
    except ValueError as error:
        raise BadSample(place, f"{key}, line {number}: {line[:60]!r} is no time, parameter, value", key) from error
    if not 0 <= at <= _MINUTES or not math.isfinite(measured):
        raise BadSample(place, f"{key}, line {number}: {line[:60]!r} is not within 48 hours or no number", key)
    return at, variable.strip(), measured


def _vector(static: Mapping[str, float]) -> np.ndarray:
    *numbers, ward = (static.get(name, math.nan) for name in STATIC)
    wards = [math.nan if math.isnan(ward) else float(ward == kind) for kind in range(1, NUM_WARDS + 1)]
    return np.array([*numbers, *wards], np.float32)
