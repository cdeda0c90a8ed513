"""Drift: a share that moved since the accepted version fails the gate until the user accepts the new version."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages import validate as stage
from tests.gate import pass_gate
from tests.manifest_sample import BOUNDS, blank_images, evidence, first, whole
from umemma.data.sample import SPLITS
from umemma.errors import DataError, GateFailure
from umemma.validation import drift, statistics
from umemma.validation import gate as gate_module
from umemma.validation.expectation import Evidence

MANY = 2000


def large(present: float = 1.0, of_a: float = 0.5) -> Evidence:
    """Return 2,000 samples a split, with this share of images in test and of class a (of a and b) in train."""
    rows = pd.DataFrame(
        [
            {
                "key": f"{split}-{number}",
                "split": split,
                "group": f"{split}-{number}",
                "image_present": split != "test" or number < present * MANY,
                "label": int(number >= (of_a if split == "train" else 0.5) * MANY),
            }
            for split in SPLITS
            for number in range(MANY)
        ]
    )
    return evidence(rows)


def moved(before: Evidence, now: Evidence) -> dict[str, dict[str, float]]:
    """Return, for presence and class, how far each share moved beyond chance, if at all."""
    accepted = drift.accepted(before.index, statistics.statistics(before))
    current = Evidence(now.manifest, now.index, now.quarantine, json.loads(json.dumps(accepted)))
    return {
        table.name: {row["key"]: row["drift"] for row in table.rows.to_dict("records") if row["drift"] > 0}
        for table in drift.tables(current, 0.05)
    }


def test_a_share_that_moved_is_named_with_what_it_was_and_is() -> None:
    shifts = moved(large(present=0.9), large(present=0.7, of_a=0.4))
    assert list(shifts["drift/presence"]) == ["test/image 0.900 -> 0.700"]
    assert list(shifts["drift/class"]) == ["train/a 0.500 -> 0.400", "train/b 0.500 -> 0.600"]
    standard_error = (0.9 * 0.1 / MANY + 0.7 * 0.3 / MANY) ** 0.5
    assert shifts["drift/presence"]["test/image 0.900 -> 0.700"] == pytest.approx(0.2 - 3 * standard_error)


def test_what_chance_can_do_is_no_drift() -> None:
    assert moved(large(present=0.9), large(present=0.88)) == {"drift/presence": {}, "drift/class": {}}


def test_a_class_or_modality_that_came_or_went_was_or_is_nothing() -> None:
    now = large()
    renamed = evidence(now.manifest.rename(columns={"image_present": "photo_present"}))
    shifts = moved(now, renamed)["drift/presence"]
    assert shifts["train/image 1.000 -> 0.000"] == shifts["train/photo 0.000 -> 1.000"] == 1.0


def test_without_an_accepted_version_nothing_is_compared(tmp_path: Path) -> None:
    assert drift.read(tmp_path, "made-up") is None
    assert drift.tables(large(), 0.05) == []


@pytest.mark.parametrize("content", ["", "[]", '{"splits": {}}'])
def test_an_accepted_version_that_is_damaged_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "made-up.json").write_text(content)
    with pytest.raises(DataError, match=r"made-up\.json"):
        drift.read(tmp_path, "made-up")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stage reads from its folder of shards: `data["manifest"]`."""
    state: dict[str, Any] = {"manifest": whole("image", "vector")}
    monkeypatch.setattr(stage.shards, "verify", lambda _: evidence(state["manifest"]).index)
    monkeypatch.setattr(stage.shards, "read_manifest", lambda _: state["manifest"])
    monkeypatch.setattr(stage.quarantine, "read", lambda _: evidence(state["manifest"]).quarantine)
    return state


def gate(tmp_path: Path) -> None:
    pass_gate(tmp_path, BOUNDS, tmp_path / "report.json", tmp_path / "gate.json", tmp_path / "accepted")


def test_the_gate_closes_on_drift_until_the_new_version_is_accepted(
    tmp_path: Path, data: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    gate(tmp_path)
    assert stage.accept(tmp_path, BOUNDS, tmp_path / "accepted") == tmp_path / "accepted/made-up.json"
    before = (tmp_path / "accepted/made-up.json").read_bytes()
    gate(tmp_path)
    data["manifest"] = first("test", 6, image_present=False)(data["manifest"])
    capsys.readouterr()
    with pytest.raises(GateFailure, match="1 of "):
        gate(tmp_path)
    sentence = capsys.readouterr().out
    assert "\nFAILED presence_drift: drift/presence, column drift: " in sentence
    assert "test/image 1.000 -> 0.500" in sentence
    stage.accept(tmp_path, BOUNDS, tmp_path / "accepted")
    assert (tmp_path / "accepted/made-up.json").read_bytes() != before
    gate(tmp_path)


def test_data_that_fail_for_themselves_are_not_accepted(tmp_path: Path, data: dict[str, Any]) -> None:
    data["manifest"] = blank_images("val", 2)(data["manifest"])
    with pytest.raises(GateFailure, match="made-up is not accepted, as it fails for itself:\nblank: val/image"):
        stage.accept(tmp_path, BOUNDS, tmp_path / "accepted")
    assert not (tmp_path / "accepted").exists()


def test_the_same_data_are_accepted_in_the_same_bytes_and_do_not_drift(tmp_path: Path, data: dict[str, Any]) -> None:
    contents = [stage.accept(tmp_path, BOUNDS, tmp_path / name).read_bytes() for name in ("one", "two")]
    assert contents[0] == contents[1]
    current = Evidence(
        data["manifest"],
        evidence(data["manifest"]).index,
        evidence(data["manifest"]).quarantine,
        json.loads(contents[0]),
    )
    result = gate_module.judge(current, BOUNDS.model_copy(update={"max_drift": 0.0}))
    assert {expectation["table"] for expectation in result["expectations"]} >= {"drift/presence", "drift/class"}
    assert result["failures"] == []
