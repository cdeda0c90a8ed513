"""The data summary lists every rejected sample and warning, and adds up to all samples."""

import pytest

from stages import report as stage
from tests.manifest_sample import evidence, severe, whole
from tests.page_sample import TWO, data, sample
from umemma.data import quarantine
from umemma.data.quarantine import Quarantined
from umemma.errors import DataError
from umemma.files import write_json
from umemma.reporting import terminal
from umemma.reporting.data_summary import Summary
from umemma.reporting.page import page
from umemma.validation import gate

BAD = [
    Quarantined("t1", "train", "image", "image.png", "no readable image: truncated"),
    Quarantined("t2", "train", "image", "image.png", "no readable image: garbage"),
    Quarantined("v1", "val", "image", "image.png", "no readable image: truncated"),
    Quarantined("v2", "val", None, "list.csv:3", "is also in test (list.csv:9)"),
    Quarantined("", "", None, "list.csv:7", "the split is empty"),
]
BOUNDS = severe(quarantine="warn", blank="ignore")


@pytest.fixture
def summary(tmp_path, monkeypatch):
    """The report's input after validating 36 good samples and the bad ones."""
    data = evidence(whole("image"), BAD)
    monkeypatch.setattr(stage, "REPORTS", tmp_path)
    facts = {"dataset": "made up", "manifest_sha256": "0" * 64}
    write_json(tmp_path / "validation.json", facts | gate.judge(data, BOUNDS))
    quarantine.write(tmp_path / "quarantine.parquet", BAD)
    return stage.read_data()


def test_every_sample_that_was_judged_is_used_or_stands_with_its_reason(summary):
    assert summary.judged == {"train": 14, "val": 14, "test": 12, "": 1}
    assert summary.quarantined == {"train": 2, "val": 2, "test": 0, "": 1}
    for split, count in summary.quarantined.items():
        assert count == sum(row.by_split.get(split, 0) for row in summary.reasons)
        assert summary.judged[split] == summary.used[split] + count
    assert [(row.reason, row.total) for row in summary.reasons] == [
        ("no readable image", 3),
        ("is also in test", 1),
        ("the split is empty", 1),
    ]
    assert summary.reasons[0].example == "t1 (image.png: no readable image: truncated)"


def test_warnings_and_what_was_not_judged_are_named(summary):
    assert [sentence.split(":")[0] for sentence in summary.warnings] == ["quarantine"]
    assert summary.ignored == ["blank"]


def test_the_terminal_says_how_many_are_left_out_of_which_split_and_why(summary):
    first, _, header, *rows = terminal.data_lines(summary)
    assert first == "data: 36 of 41 samples used, 5 in quarantine (data/reports/quarantine.parquet)"
    assert header.split() == ["train", "val", "test", "no", "split"]
    assert rows[0].startswith("no readable image ")
    assert rows[0].split()[3:7] == ["2", "1", "0", "0"]
    assert rows[3] == "warnings: 1 (data/reports/validation.json)"
    assert rows[4] == f"- {summary.warnings[0]}"
    assert rows[5:] == ["not judged (validation.severity: ignore): blank"]


def test_where_nothing_is_left_out_one_line_says_so():
    assert terminal.data_lines(data(clean=True)) == [
        "data: 70,000 of 70,000 samples used, 0 in quarantine",
        "5 classes: \u201czero\u201d is the most frequent, with 11,000 training samples (20%), "
        '\u201c"&\u201d the rarest, with 10,700.',
    ]


def test_the_terminal_says_what_is_present_where_something_is_missing():
    lines = terminal.data_lines(data(clean=False))
    assert "present: image  train 96.0%  val 96.0%  test 96.0%" in lines
    assert "dropped values: no such file 31" in lines
    assert "Values were dropped from samples that were used: no such file (31)." in page(sample(TWO))


def test_rare_reasons_are_added_up_so_that_none_goes_uncounted():
    rows = [Quarantined(f"k{number}", "train", None, "f", f"reason {number // 2}: detail") for number in range(25)]
    reasons = quarantine.reasons(rows, 4)
    assert [row["reason"] for row in reasons] == ["reason 0", "reason 1", "reason 10", "reason 11", "other reasons"]
    assert reasons[-1] == {
        "reason": "other reasons",
        "total": 17,
        "is_damage": True,
        "by_split": {"train": 17},
        "example": "",
    }
    assert sum(row["total"] for row in reasons) == 25
    assert quarantine.reasons([], 4) == []


def test_a_quarantine_that_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match=r"quarantine\.parquet cannot be read"):
        quarantine.read(tmp_path / "quarantine.parquet")
    (tmp_path / "quarantine.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"quarantine\.parquet cannot be read"):
        quarantine.read(tmp_path / "quarantine.parquet")


@pytest.mark.parametrize(
    ("accuracy", "p", "is_said"), [(0.9, 0.001, True), (0.9, 0.2, False), (0.21, 0.001, False), (None, 0.001, False)]
)
def test_that_presence_tells_the_label_is_said_where_it_does_beyond_chance(accuracy, p, is_said):
    found = {"accuracy": accuracy, "majority": 0.2, "modalities": {"audio": {"p": p, "effect": 0.8}}}
    content = data(clean=False).content()
    content["statistics"]["presence_tells_label"] = found
    changed = Summary.model_validate(content)
    text = " ".join(terminal.data_lines(changed))
    assert ("Whether a sample has audio tells its class: from that alone" in text) == is_said
    assert ("90.0% of the test samples are predicted right, against 20.0%" in text) == is_said
    assert ("Whether a sample has audio tells" in page(sample(TWO)._replace(data=changed))) == is_said
