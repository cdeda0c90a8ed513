"""Each expectation has a severity: an error fails the gate, a warning is reported, an ignored one is listed as such."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from tests.gate import pass_gate
from tests.manifest_sample import (
    BOUNDS,
    FACTS,
    PER_SPLIT,
    Spoil,
    blank_images,
    everywhere,
    evidence,
    first,
    judge,
    setting,
    several_labels,
    severe,
    whole,
)
from umemma.data.quarantine import Quarantined
from umemma.data.sample import SPLITS
from umemma.validation import gate as gate_module
from umemma.validation.expectation import Evidence
from umemma.validation.settings import Severities, Validation

# name: (what is done to the manifest, table and column that tell, keys); all of it is done to one manifest
SPOILT: dict[str, tuple[Spoil, str, str, list[str]]] = {
    "group_leakage": (setting("val-06", group="train-g0"), "groups", "group", ["train-00", "val-06"]),
    "duplicates_across_splits": (
        setting("val-06", image_sha256="train2"),
        "contents/image",
        "splits_with_it",
        ["train-02", "val-06", "train-07", "test-07"],
    ),
    "copies": (
        setting("test-07", **{f"{name}_sha256": "train7" for name in FACTS}),
        "contents",
        "splits_with_it",
        ["train-07", "test-07"],
    ),
    "duplicates_within_split": (
        setting("val-06", video_sha256="val3"),
        "contents/video",
        "samples_of_split_with_it",
        ["val-03", "val-06"],
    ),
    "conflicting_labels": (
        setting("val-06", series_sha256="val4"),
        "contents/series",
        "labels_with_it",
        ["val-04", "val-06"],
    ),
    "label_support": (setting("train-02", label=1), "support", "num_samples", ["train/c"]),
    "classes_in_every_split": (
        everywhere("split == 'val' and label == 2", label=1),
        "classes",
        "num_samples",
        ["val/c"],
    ),
    "class_balance": (
        everywhere("split == 'test' and label == 2 and key != 'test-02'", label=1),
        "classes",
        "share",
        ["val/b", "val/c", "test/c"],
    ),
    "presence_tells_label": (
        lambda m: m.assign(vector_present=m["vector_present"] & (m["label"] != 0)),
        "presence and label",
        "effect",
        ["vector"],
    ),
    "presence": (first("test", 7, image_present=False), "presence", "share", ["test/image"]),
    "gaps": (everywhere("split == 'val'", series_num_missing=76), "gaps", "share", ["val/series"]),
    "same_shape": (setting("val-03", series_channels=4), "series", "series_channels", ["val-03"]),
    "same_depth": (setting("val-03", image_deep=True), "image", "image_deep", ["val-03"]),
    "file_size": (setting("val-03", text_num_bytes=2**29), "text", "text_num_bytes", ["val-03"]),
    "blank": (blank_images("val", 2), "val/image", "image_blank", ["val-00", "val-01"]),
    "silence": (first("val", 2, audio_peak=1e-5), "val/audio", "audio_peak", ["val-00", "val-01"]),
    "clipping": (first("val", 2, audio_clipped_share=0.2), "val/audio", "audio_clipped_share", ["val-00", "val-01"]),
    "mixing": (first("val", 2, audio_mix_level=0.01), "val/audio", "audio_mix_level", ["val-00", "val-01"]),
    "value_range": (first("val", 2, image_range_used=0.01), "val/image", "image_range_used", ["val-00", "val-01"]),
    "duration": (setting("val-03", video_seconds=9.0), "video", "video_seconds", ["val-03"]),
    "size_px": (setting("val-03", image_width_px=2), "image", "image_width_px", ["val-03"]),
    "animation": (setting("val-03", image_num_frames=7), "image", "image_num_frames", ["val-03"]),
    "video_frames": (setting("val-03", video_num_frames=1), "video", "video_num_frames", ["val-03"]),
    "video_sound": (setting("val-03", video_has_sound=False), "video", "video_has_sound", ["val-03"]),
    "text_length": (setting("val-03", text_num_chars=10**7), "text", "text_num_chars", ["val-03"]),
    "text_encoding": (first("val", 2, text_num_replaced=1), "val/text", "text_num_replaced", ["val-00", "val-01"]),
    "series_length": (setting("val-03", series_num_steps=1), "series", "series_num_steps", ["val-03"]),
}
ELSEWHERE = {"quarantine", "presence_drift", "class_drift", "labels_per_sample"}  # the manifest alone does not show it


def failures_of(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [
        expectation
        for expectation in result["expectations"]
        if expectation["name"] == name and not expectation["passed"]
    ]


def test_there_is_a_case_for_every_name_that_has_a_severity() -> None:
    assert SPOILT.keys() | ELSEWHERE == Severities.model_fields.keys()


@pytest.fixture(scope="module")
def spoilt() -> dict[str, Any]:
    manifest = whole(*FACTS)
    for spoil, *_ in SPOILT.values():
        manifest = spoil(manifest)
    return judge(manifest, severe(everything="warn"))


@pytest.mark.parametrize("name", SPOILT)
def test_a_warning_names_table_column_and_keys_and_passes(spoilt: dict[str, Any], name: str) -> None:
    _, table, column, keys = SPOILT[name]
    failed = {(expectation["table"], expectation["column"]): expectation for expectation in failures_of(spoilt, name)}
    assert failed[table, column]["keys"] == keys
    starts = (f"{name}: {table}, column {column}: ", f"{name}: whether a modality is there tells the label: ")
    sentence = next(warning for warning in spoilt["warnings"] if warning.startswith(starts))
    assert all(key in sentence for key in keys)
    assert (spoilt["passed"], spoilt["failures"]) == (True, [])


def test_a_manifest_of_every_kind_passes_without_a_warning_before_it_is_spoilt() -> None:
    result = judge(whole(*FACTS))
    assert (result["failures"], result["warnings"]) == ([], [])


def test_an_error_fails_a_warning_passes_and_what_is_ignored_is_not_judged_but_said_to_be() -> None:
    manifest = blank_images("val", 2)(whole("image"))
    error, warn, ignore = (judge(manifest, severe(blank=severity)) for severity in ("error", "warn", "ignore"))
    assert [verdict["passed"] for verdict in (error, warn, ignore)] == [False, True, True]
    assert [len(verdict["warnings"]) for verdict in (error, warn, ignore)] == [0, 1, 0]
    assert error["failures"][0].startswith(warn["warnings"][0]), "the same sentence"
    assert error["failures"][0].endswith("in the data set's file accepts it: validation: {max_blank: 0.17}")
    assert {expectation["severity"] for expectation in failures_of(warn, "blank")} == {"warn"}
    assert not [expectation for expectation in ignore["expectations"] if expectation["name"] == "blank"]
    assert (error["ignored"], ignore["ignored"]) == ([], ["blank"])


def test_what_nothing_can_do_without_is_an_error_whatever_the_severities() -> None:
    for spoil in (
        lambda m: m.drop(columns="group"),
        setting("val-03", label=None),
        setting("val-03", label=3),
        lambda m: m.replace({"key": {"val-05": "train-04"}}),
    ):
        assert judge(spoil(whole("image")), severe(everything="ignore"))["passed"] is False


def test_a_class_that_is_in_test_only_is_an_error_by_default() -> None:
    manifest = everywhere("split != 'test' and label == 2", label=1)(whole("vector"))
    result = judge(manifest, BOUNDS.model_copy(update={"min_class_samples": 1}))
    assert any(
        "label_support: support, column num_samples" in sentence and "train/c" in sentence
        for sentence in result["failures"]
    )


def test_files_that_are_blank_or_missing_are_no_duplicates() -> None:
    manifest = first("val", 1, image_sha256="train2", image_blank=True)(whole("image"))
    manifest = first("test", 3, image_sha256=None, image_present=False)(manifest)
    result = judge(manifest, BOUNDS.model_copy(update={"min_presence": 0.1}))
    assert [
        expectation
        for expectation in result["expectations"]
        if "duplicates" in expectation["name"] and not expectation["passed"]
    ] == []


def test_the_same_content_with_the_same_label_in_one_split_only_warns_by_default() -> None:
    result = judge(setting("val-06", image_sha256="val3")(whole("image")))
    assert result["passed"] is True
    assert len(result["warnings"]) == 1
    assert result["warnings"][0].startswith("duplicates_within_split: ")


def test_two_people_of_one_age_and_two_titles_of_three_words_are_no_copies() -> None:
    manifest = whole("text", "vector").assign(vector_num_values=1, vector_sha256="43", vector_blank=True)
    manifest["text_sha256"] = [f"good morning {number % 5}" for number in range(len(manifest))]
    result = judge(manifest)
    assert result["failures"] == []
    assert [sentence.split(":")[0] for sentence in result["warnings"]] == ["copies"]
    assert judge(whole("vector").assign(vector_num_values=1, vector_sha256="43"))["warnings"] == []
    long = manifest.assign(text_num_chars=5000)
    assert any(sentence.startswith("duplicates_across_splits: contents/text") for sentence in judge(long)["failures"])


def test_the_lines_that_failures_name_accept_them() -> None:
    manifest = whole(*FACTS)
    for spoil, *_ in SPOILT.values():
        manifest = spoil(manifest)
    strict = severe(everything="error")
    failed = [entry for entry in judge(manifest, strict)["expectations"] if not entry["passed"]]
    assert {entry["name"] for entry in failed} >= SPOILT.keys()
    accepted = strict.model_dump()
    for entry in failed:
        for key, value in YAML(typ="safe").load(entry["accepted_by"])["validation"].items():
            accepted[key] = accepted[key] | value if isinstance(value, dict) else value
    assert judge(manifest, Validation.model_validate(accepted))["failures"] == []


UNUSABLE = [Quarantined(f"q{number}", "val", None, "list.csv", "torn") for number in range(2)]


def test_the_quarantine_has_a_severity_too() -> None:
    warned = gate_module.judge(evidence(whole("image"), UNUSABLE), severe(quarantine="warn"))
    assert warned["passed"] is True
    assert "val: 2 of 14, such as q0 (list.csv: torn), q1 (list.csv: torn)" in warned["warnings"][0]
    failed = gate_module.judge(evidence(whole("image"), UNUSABLE), BOUNDS)
    assert failed["failures"][0].startswith(warned["warnings"][0])
    assert failed["quarantine"]["by_reason"] == {"torn": 2}
    by_rule = [dataclasses.replace(row, is_damage=False) for row in UNUSABLE]
    left_out = gate_module.judge(evidence(whole("image"), by_rule), BOUNDS)
    assert left_out["passed"] is True
    assert left_out["quarantine"]["left_out"]["val"] == 2
    assert {expectation["table"] for expectation in failed["expectations"]} >= {"samples", "val/image"}, (
        "the rest is judged as well"
    )


@pytest.mark.parametrize(("labels", "warned"), [([], True), ([0, 2], False)])
def test_a_sample_with_none_of_several_labels_is_reported(labels: list[int], warned: bool) -> None:
    manifest = several_labels(whole("image"))
    manifest.at[13, "labels"] = labels
    result = judge(manifest)
    assert (result["passed"], bool(result["warnings"])) == (True, warned)
    assert not warned or (result["warnings"][0].startswith("labels_per_sample: ") and "val-01" in result["warnings"][0])


def test_classes_are_counted_by_label_where_a_sample_has_several() -> None:
    result = judge(several_labels(whole("image")))
    assert result["statistics"]["classes"]["train"] == {"a": 6, "b": 6, "c": 6}
    assert result["statistics"]["splits"]["train"] == PER_SPLIT
    rare = several_labels(whole("image"))
    rare["labels"] = [[label for label in labels if label != 2] for labels in rare["labels"]]
    sentences = judge(rare)["failures"]
    assert any(sentence.startswith("label_support: ") and "train/c" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([3], r"labels, column label: .*val-03"),
        ([-1, 0], r"labels, column label: .*val-03"),
        (["drama"], r"labels, column label: .*in_type_list"),
        ([0.5], r"labels, column label: .*in_type_list"),
        (None, r"samples, column labels: .*val-03"),
    ],
)
def test_labels_that_are_no_classes_are_errors(labels: object, sentence: str) -> None:
    manifest = several_labels(whole("image"))
    manifest.at[PER_SPLIT + 3, "labels"] = labels
    assert any(re.match(sentence, failure) for failure in judge(manifest)["failures"])


def test_copies_with_other_labels_conflict_where_a_sample_has_several() -> None:
    manifest = several_labels(setting("val-06", image_sha256="val4")(whole("image")))
    manifest.at[PER_SPLIT + 4, "labels"] = manifest.at[PER_SPLIT + 6, "labels"] = [0]
    assert failures_of(judge(manifest), "conflicting_labels") == []
    manifest.at[PER_SPLIT + 4, "labels"] = [0, 1, 2]
    assert failures_of(judge(manifest), "conflicting_labels")[0]["keys"] == ["val-04", "val-06"]


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[pd.DataFrame, Validation], dict[str, Any]]:
    def run(manifest: pd.DataFrame, bounds: Validation) -> dict[str, Any]:
        data: Evidence = evidence(manifest)
        monkeypatch.setattr("stages.validate.evidence", lambda *_: data)
        pass_gate(tmp_path, bounds, tmp_path / "validation.json", tmp_path / "gate.json")
        return json.loads((tmp_path / "validation.json").read_text())

    return run


def test_a_warning_is_printed_stands_in_the_report_and_lets_the_gate_open(
    gate: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = gate(blank_images("val", 2)(whole("image")), severe(blank="warn"))
    out = capsys.readouterr().out
    assert out.startswith("WARNING blank: val/image, column image_blank")
    assert re.search(r"made-up: (\d+) of (\d+) expectations hold, the others warn", out)
    assert out.splitlines()[0] == f"WARNING {report['warnings'][0]}"
    assert (tmp_path / "gate.json").exists()
    assert report["quarantine"] == {
        "judged": {"train": 12, "val": 12, "test": 12},
        "kept": {"train": 12, "val": 12, "test": 12},
        "left_out": dict.fromkeys(SPLITS, 0),
        "by_reason": {},
        "dropped": {},
    }
