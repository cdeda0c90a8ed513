"""The gate: a clean manifest passes, and every corruption is caught by the expectation meant for it."""

import dataclasses
import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gate import pass_gate
from tests.manifest_sample import (
    BOUNDS,
    PER_SPLIT,
    SHARD_OF,
    Spoil,
    blank_images,
    clean,
    everywhere,
    evidence,
    index,
    judge,
    setting,
)
from umemma.data import quarantine
from umemma.data.sample import SPLITS
from umemma.errors import DataError, GateFailure
from umemma.files import sha256
from umemma.validation import gate as gate_module
from umemma.validation.expectation import Table, between, equal

UNIQUE, IN_SET, BETWEEN = (f"expect_column_values_to_be_{kind}" for kind in ("unique", "in_set", "between"))
FILLED, TYPED = "expect_column_values_to_not_be_null", "expect_column_values_to_be_in_type_list"
COLUMNS, CONTAIN = "expect_table_columns_to_match_set", "expect_column_distinct_values_to_contain_set"
EQUAL = "expect_column_pair_values_to_be_equal"

VIOLATIONS: dict[str, tuple[Spoil, tuple[str, str, str | None], list[str]]] = {
    "a column is missing": (lambda m: m.drop(columns="group"), (COLUMNS, "samples", None), []),
    "facts of a modality are missing": (lambda m: m.drop(columns="image_width_px"), (COLUMNS, "samples", None), []),
    "a label is missing": (setting("val-03", label=None), (FILLED, "samples", "label"), ["val-03"]),
    "a group is missing": (setting("val-03", group=None), (FILLED, "samples", "group"), ["val-03"]),
    "labels are text": (lambda m: m.astype({"label": str}), (TYPED, "samples", "label"), None),
    "labels are fractions": (lambda m: m.astype({"label": float}), (TYPED, "samples", "label"), []),
    "presence is a number": (lambda m: m.astype({"image_present": int}), (TYPED, "samples", "image_present"), []),
    "a key stands twice": (
        lambda m: m.replace({"key": {"train-05": "train-04"}}),
        (UNIQUE, "samples", "key"),
        ["train-04"],
    ),
    "a key stands in two splits": (
        lambda m: m.replace({"key": {"val-05": "train-04"}}),
        (UNIQUE, "samples", "key"),
        ["train-04"],
    ),
    "a recording lies in two splits": (
        setting("val-06", group="train-g0"),
        (UNIQUE, "groups", "group"),
        ["train-00", "val-06"],
    ),
    "a split is unknown": (setting("val-03", split="dev"), (IN_SET, "samples", "split"), ["val-03"]),
    "a split is empty": (everywhere("split == 'val'", split="train"), (CONTAIN, "samples", "split"), []),
    "a sample lies in a shard of another split": (
        setting("val-03", shard=SHARD_OF["train"]),
        (EQUAL, "samples", "split, split_of_shard"),
        ["val-03"],
    ),
    "a sample lies in a shard that the index lacks": (
        setting("val-03", shard="val-000009.tar"),
        (EQUAL, "samples", "split, split_of_shard"),
        ["val-03"],
    ),
    "a shard has another number of samples": (
        lambda m: m[m["key"] != "test-07"],
        (EQUAL, "shards", "num_samples, in_index"),
        ["test-000000.tar"],
    ),
    "a label is too large": (setting("val-03", label=3), (BETWEEN, "samples", "label"), ["val-03"]),
    "a label is negative": (setting("val-03", label=-1), (BETWEEN, "samples", "label"), ["val-03"]),
    "a class is absent from a split": (
        everywhere("split == 'val' and label == 2", label=1),
        (BETWEEN, "classes", "num_samples"),
        ["val/c"],
    ),
    "a class is too rare": (
        everywhere("split == 'val' and label == 2 and key != 'val-02'", label=1),
        (BETWEEN, "classes", "share"),
        ["val/c"],
    ),
    "no modality is present": (
        setting("train-01", image_present=False),
        (BETWEEN, "samples", "num_modalities"),
        ["train-01"],
    ),
    "a modality is present too rarely": (
        everywhere("split == 'test' and key < 'test-07'", audio_present=False),
        (BETWEEN, "presence", "share"),
        ["test/audio"],
    ),
    "an image has another height": (
        setting("val-03", image_height_px=9),
        (IN_SET, "image", "image_height_px"),
        ["val-03"],
    ),
    "an image has another width": (
        setting("val-03", image_width_px=9),
        (IN_SET, "image", "image_width_px"),
        ["val-03"],
    ),
    "an image has colour": (setting("val-03", image_channels=3), (IN_SET, "image", "image_channels"), ["val-03"]),
    "a sound has another rate": (
        setting("val-03", audio_sample_rate_hz=16000),
        (IN_SET, "audio", "audio_sample_rate_hz"),
        ["val-03"],
    ),
    "a sound is in an image's place": (
        setting("val-03", image_kind="audio"),
        (IN_SET, "image", "image_kind"),
        ["val-03"],
    ),
    "a sound is too short": (setting("val-03", audio_seconds=0.05), (BETWEEN, "audio", "audio_seconds"), ["val-03"]),
    "a sound is too long": (setting("val-03", audio_seconds=2.5), (BETWEEN, "audio", "audio_seconds"), ["val-03"]),
    "a file that is present has no facts": (
        setting("val-03", audio_seconds=None),
        (FILLED, "audio", "audio_seconds"),
        ["val-03"],
    ),
    "too many images are blank": (blank_images("val", 2), (IN_SET, "val/image", "image_blank"), ["val-00", "val-01"]),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_each_violation_is_named_with_expectation_table_column_and_keys(violation: str) -> None:
    spoil, (expectation, table, column), keys = VIOLATIONS[violation]
    manifest = spoil(clean())
    result = judge(manifest)
    assert result["passed"] is False
    failed = {
        (entry["expectation"], entry["table"], entry["column"]): entry
        for entry in result["expectations"]
        if not entry["passed"]
    }
    assert (expectation, table, column) in failed
    reported = failed[expectation, table, column]["keys"]
    assert reported == (keys if keys is not None else sorted(manifest["key"], key=list(manifest["key"]).index)[:10])
    sentence = next(line for line in result["failures"] if expectation in line and (column or table) in line)
    assert all(key in sentence for key in reported)
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("hidden", [(), ("train-01", "val-04", "test-11")])
def test_a_clean_manifest_passes(hidden: tuple[str, ...]) -> None:
    result = judge(clean(hidden))
    assert result["failures"] == []
    assert (result["passed"], result["warnings"]) == (True, [])
    assert result["statistics"]["splits"] == dict.fromkeys(SPLITS, PER_SPLIT)
    assert result["statistics"]["classes"]["val"] == {"a": 4, "b": 4, "c": 4}
    assert result["statistics"]["groups"] == dict.fromkeys(SPLITS, 6)
    assert result["statistics"]["presence"]["audio"]["test"] == (round(11 / 12, 6) if hidden else 1)


def test_a_failed_step_ends_the_judgement_there() -> None:
    tables = [entry["table"] for entry in judge(clean().drop(columns="split"))["expectations"]]
    assert tables == ["quarantine", "quarantine", "samples"]
    assert judge(pd.DataFrame())["passed"] is False


def test_a_few_blank_files_are_allowed() -> None:
    assert judge(blank_images("val", 1)(clean()))["passed"] is True


def test_at_most_ten_keys_are_listed_and_all_are_counted() -> None:
    result = judge(clean().assign(audio_seconds=25.0))
    failed = next(entry for entry in result["expectations"] if not entry["passed"])
    assert len(failed["keys"]) == 10
    assert failed["unexpected_count"] == 3 * PER_SPLIT - 3


def test_a_modality_that_is_never_there_fails_by_its_presence_alone() -> None:
    manifest = clean().drop(columns=[name for name in clean() if name.startswith("audio_") and name != "audio_present"])
    manifest["audio_present"] = False
    failed = [expectation for expectation in judge(manifest)["expectations"] if not expectation["passed"]]
    assert [expectation["table"] for expectation in failed] == ["presence"]
    assert failed[0]["keys"] == ["train/audio", "val/audio", "test/audio"]


def test_the_result_is_byte_stable_and_holds_no_trace_of_the_run() -> None:
    manifest = setting("val-03", audio_seconds=9.0)(clean())
    first, second = (json.dumps(judge(manifest)) for _ in range(2))
    assert first == second
    for trace in ("batch", "_id", str(Path.cwd()), "20"):
        assert trace not in first.replace("200", "")


@settings(max_examples=6, deadline=None)
@given(st.lists(st.sampled_from(list(VIOLATIONS)), max_size=3), st.booleans())
def test_passed_is_false_exactly_where_an_expectation_failed(chosen: list[str], whole: bool) -> None:
    manifest = clean(()) if whole else clean()
    for name in chosen:
        try:
            manifest = VIOLATIONS[name][0](manifest)
        except (KeyError, TypeError, ValueError, pd.errors.UndefinedVariableError):
            continue  # an earlier violation took the column away, or its type
    result = judge(manifest)
    errors = [expectation for expectation in result["expectations"] if expectation["severity"] == "error"]
    assert result["passed"] is all(expectation["passed"] for expectation in errors)
    assert result["passed"] is (result["failures"] == [])
    assert result["passed"] or chosen


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[pd.DataFrame], Path]:
    """Write a folder of shards, whose tars may hold anything, with a manifest and a matching index."""

    def make(manifest: pd.DataFrame) -> Path:
        place = tmp_path / "shards"
        place.mkdir()
        manifest.to_parquet(place / "manifest.parquet", index=False)
        for name in SHARD_OF.values():
            (place / name).write_bytes(name.encode())
        quarantine.write(place / "quarantine.parquet", [])
        digests = {path.name: sha256(path) for path in place.iterdir()}
        of = dataclasses.replace(
            index(),
            manifest_sha256=digests["manifest.parquet"],
            quarantine_sha256=digests["quarantine.parquet"],
            shards=tuple(dataclasses.replace(shard, sha256=digests[shard.name]) for shard in index().shards),
        )
        (place / "index.json").write_text(json.dumps(dataclasses.asdict(of)))
        return place

    return make


def test_the_gate_opens_only_for_data_that_pass(
    folder: Callable[[pd.DataFrame], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, report, gate = folder(clean()), tmp_path / "reports/validation.json", tmp_path / "gates/shards.json"
    pass_gate(place, BOUNDS, report, gate)
    opened = gate.read_bytes()
    assert set(json.loads(opened)) == {"manifest_sha256", "dataset", "passed"}
    assert json.loads(report.read_text())["passed"] is True
    strict = BOUNDS.model_copy(update={"max_seconds": 0.2})
    capsys.readouterr()
    with pytest.raises(GateFailure, match="1 of "):
        pass_gate(place, strict, report, gate)
    assert not gate.exists()
    assert json.loads(report.read_text())["passed"] is False
    assert capsys.readouterr().out.count("FAILED") == 1
    pass_gate(place, BOUNDS.model_copy(update={"max_seconds": 3.0}), report, gate)
    assert gate.read_bytes() == opened, "changed bounds must not train anything anew"


def test_files_that_are_not_those_of_the_index_get_no_verdict(
    folder: Callable[[pd.DataFrame], Path], tmp_path: Path
) -> None:
    place, report, gate = folder(clean()), tmp_path / "validation.json", tmp_path / "gate.json"
    (place / SHARD_OF["val"]).write_bytes(b"cut")
    with pytest.raises(DataError, match=r"val-000000\.tar"):
        pass_gate(place, BOUNDS, report, gate)
    assert not report.exists()


@pytest.mark.slow
def test_data_docs_have_a_page_for_every_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    page = gate_module.data_docs(evidence(clean()), BOUNDS, tmp_path / "docs")
    assert page.is_file()
    tables = {expectation["table"] for expectation in judge(clean())["expectations"]}
    assert len(list((tmp_path / "docs/validations").rglob("*.html"))) == len(tables) + 2  # `samples` in every step
    assert not caplog.records


def test_one_table_at_a_time_is_in_memory_and_only_what_is_judged_of_it(monkeypatch):
    given, alive = [], []
    narrow = gate_module._narrow

    def watched(table):
        gc.collect()  # Great Expectations' objects refer to each other
        alive.append(sum(reference() is not None for reference in given))
        rows = narrow(table)
        given.append(weakref.ref(rows))
        return rows

    monkeypatch.setattr(gate_module, "_narrow", watched)
    gc.freeze()  # what tests before this one have left need not be looked through each time
    try:
        assert judge(clean())["passed"]
    finally:
        gc.unfreeze()
    assert len(alive) > 10
    assert not any(alive)
    wide = Table("image", clean(), [between("image_num_bytes", 1, None), equal("split", "shard")])
    assert set(narrow(wide)) == {"key", "split", "shard", "image_num_bytes"}
