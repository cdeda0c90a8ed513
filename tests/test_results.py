"""The reports' typed models: reading gives what was written, mismatches are named; the table imports nothing slow."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.page_sample import FOUR, TWO, sample
from umemma.data import quarantine
from umemma.errors import DataError
from umemma.files import read_json, write_json
from umemma.reporting import results, terminal
from umemma.reporting.results import Robustness

NAMES = ("robustness", "accounting", "gates", "masks", "classes")


@pytest.mark.parametrize("several", [False, True])
def test_what_is_written_is_read_again_with_the_same_bytes(tmp_path, several):
    for name, report in zip(NAMES, sample(FOUR, several=several), strict=False):
        results.write(tmp_path / "first.json", report)
        again = results.read(tmp_path / "first.json", results.REPORTS[name])
        results.write(tmp_path / "second.json", again)
        assert again == report
        assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_f1_stands_in_the_file_only_where_a_sample_has_several_labels(tmp_path):
    for several in (False, True):
        results.write(tmp_path / "r.json", sample(TWO, several=several)[0])
        content = read_json(tmp_path / "r.json")
        assert all(("f1_micro" in row) == several for row in [*content["patterns"].values(), *content["rates"]])


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("budget.total: Field required", lambda content: content["budget"].pop("total")),
        (
            "patterns.image.n: Input should be a valid integer",
            lambda content: content["patterns"]["image"].update(n="9"),
        ),
        ("rates.3.acuracy: Extra inputs", lambda content: content["rates"][3].update(acuracy=0.5)),
    ],
)
def test_a_key_that_is_missing_wrong_or_unknown_is_named_with_its_file(tmp_path, key, change):
    content = sample(TWO)[0].content()
    change(content)
    write_json(tmp_path / "robustness.json", content)
    with pytest.raises(DataError, match=rf"robustness\.json is not .*: {key}"):
        results.read(tmp_path / "robustness.json", Robustness)


def test_the_table_loads_no_library_that_takes_long(tmp_path):
    folder = tmp_path / "data/reports"
    for name, report in zip(NAMES, sample(TWO), strict=False):
        results.write(folder / f"{name}.json", report)
    for name, tower in sample(TWO).towers.items():
        results.write(tmp_path / "data/towers/toy" / name / "result.json", tower)
    splits = {"train": 9, "val": 1, "test": 1}
    results.write(
        folder / "validation.json",
        results.Validation(
            dataset="made up",
            manifest_sha256="0" * 64,
            passed=True,
            failures=[],
            statistics=results.Statistics(num_samples=10),
            quarantine=results.Quarantine(judged=splits, kept={**splits, "train": 8}),
            expectations=[],
        ),
    )
    quarantine.write(folder / "quarantine.parquet", [quarantine.Quarantined("k", "train", None, "f", "too short")])
    code = """
import sys
from stages import report
sys.argv = ["report", "--show"]
report.main()
print("loaded", *sorted({"torch", "mlflow", "pandas", "jinja2", "matplotlib", "hydra"} & sys.modules.keys()))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert terminal.table(*sample(TWO)[:2]) in shown.stdout
    order = ["data: 10 of 11 samples used, 1 in quarantine", "With everything present", "present  ", "report:", "next:"]
    at = [shown.stdout.index(part) for part in order]
    assert at == sorted(at)
    assert shown.stdout.splitlines()[-1] == "loaded"
