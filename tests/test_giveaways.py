"""`umemma init` says which property of files tells the label without their content, and how texts are encoded."""

import io

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.media_files import picture, sound, tone
from umemma import composition
from umemma.init import init, starting_values, summary
from umemma.init.giveaways import giveaways
from umemma.init.proposal import Given, propose
from umemma.init.survey import Survey

NUM = 60
LABELS = {row: row % 3 for row in range(NUM)}


def survey(formats=None, **facts):
    return Survey(facts, range(NUM), formats or ["wav"] * NUM, {}, NUM, None)


@pytest.mark.parametrize(
    ("kind", "result", "called"),
    [
        ("audio", survey(seconds=[1.0 + LABELS[row] + row / 1000 for row in range(NUM)]), "length"),
        ("audio", survey(sample_rate_hz=[16000.0 if LABELS[row] else 8000.0 for row in range(NUM)]), "sample rate"),
        ("image", survey(["png" if LABELS[row] else "jpg" for row in range(NUM)]), "file format"),
        ("series", survey(num_steps=[100.0 * (LABELS[row] == 2) + row % 5 for row in range(NUM)]), "number of steps"),
        ("text", survey(num_words=[LABELS[row] * 7.0 + row % 5 for row in range(NUM)]), "number of words"),
    ],
)
def test_what_tells_the_label_without_the_content_is_named(kind, result, called):
    (sentence,) = giveaways("it", kind, result, LABELS)
    assert sentence.startswith(f"it: the {called} of its files alone tells the label of ")
    assert "the commonest class would be right in 33%" in sentence


@pytest.mark.parametrize("seed", range(10))
def test_lengths_by_chance_are_not_named(seed):
    generator = np.random.default_rng(seed)
    result = survey(seconds=generator.random(NUM).tolist(), sample_rate_hz=generator.integers(1, 4, NUM).tolist())
    assert giveaways("it", "audio", result, LABELS) == []
    assert giveaways("it", "audio", result, dict.fromkeys(range(NUM), 0)) == []


def table(folder, column, contents, suffix):
    """Write a file for each content and a table that names them; classes take turns."""
    for number, content in enumerate(contents):
        (folder / f"{number}.{suffix}").write_bytes(content)
    rows = [f"r{number},{number}.{suffix},{'abc'[number % 3]}" for number in range(len(contents))]
    (folder / "t.csv").write_text("\n".join([f"id,{column},label", *rows]))
    return propose(folder / "t.csv", folder, Given(), composition.default_bounds(ROOT / "conf"))


def test_images_of_twelve_bits_get_their_white_value_and_a_passing_gate(tmp_path):
    generator = np.random.default_rng(0)
    proposal = table(
        tmp_path, "scan", [picture(generator.integers(0, 4000, (9, 9)).astype(np.uint16)) for _ in range(45)], "png"
    )
    text = init.conf_text(proposal, "scans", ".")
    assert "max_value: 4095" in text
    assert "value_range: ignore" in text
    assert "same_depth" not in text  # where 8 and 16 bits are mixed, that is said


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"bits": [8, 8], "channels": [1, 3], "low": [0, 0], "high": [9, 9]}, {}),
        ({"bits": [16], "channels": [1], "low": [0], "high": [1023]}, {"max_value": 1023}),
        ({"bits": [16, 8], "channels": [1, 1], "low": [0, 0], "high": [1024, 255]}, {"max_value": 2047}),
        ({"bits": [16], "channels": [1], "low": [0], "high": [40_000]}, {}),
        (
            {"bits": [16, 16], "channels": [1, 1], "low": [28_930, 29_310], "high": [31_208, 31_340]},
            {"min_value": 28_000.0, "max_value": 32_000.0},
        ),
        ({"bits": [32], "channels": [1], "low": [0], "high": [0.9]}, {"min_value": 0.0, "max_value": 1.0}),
        ({"bits": [32], "channels": [1], "low": [-1012], "high": [3070]}, {"min_value": -1100.0, "max_value": 3100.0}),
        ({}, {}),
    ],
)
def test_black_and_white_are_proposed_by_the_values_that_occur(facts, expected):
    decoder = starting_values.decode("image", facts)
    assert {key: decoder[key] for key in ("min_value", "max_value") if key in decoder} == expected


def test_channels_that_cancel_out_and_floats_beyond_full_scale_get_their_settings(tmp_path):
    wave = np.stack([tone()[:, 0], -tone()[:, 0]], axis=1)
    proposal = table(tmp_path, "heard", [sound(9000 * wave * (1 + i / 50), subtype="FLOAT") for i in range(45)], "wav")
    decoder = starting_values.decode("audio", proposal.surveys["heard"].facts)
    assert (decoder["channel"], decoder["full_scale"]) == ("loudest", 32768.0)
    text = init.conf_text(proposal, "heard", ".")
    assert "mixing: ignore" in text
    assert "value_range: ignore" in text


def test_the_encoding_of_texts_in_files_is_proposed_and_said(tmp_path):
    texts = [f"Die Größe der Straße {number}, süß und schön wie Übermut".encode("cp1252") for number in range(45)]
    proposal = table(tmp_path, "letter", texts, "txt")
    assert proposal.options["modalities"]["letter"]["encoding"] == "cp1252"
    assert not proposal.surveys["letter"].troubles
    assert any("letter: its files are not UTF-8; they are taken to be cp1252" in doubt for doubt in proposal.unsure)


def test_what_is_no_text_is_said_with_its_reason_once_and_no_encoding_is_proposed(tmp_path):
    generator = np.random.default_rng(0)
    files = [b"\0" + generator.bytes(500) if i % 3 else b"a plain letter" for i in range(45)]
    proposal = table(tmp_path, "letter", files, "txt")
    assert "encoding" not in proposal.options["modalities"]["letter"]
    (doubt,) = (doubt for doubt in proposal.unsure if doubt.startswith("letter: of 45 looked at 30 cannot be used"))
    assert doubt.endswith("as 1.txt: no readable text: not utf-8 from byte ... on; it is likely no text (30)")
    assert len(doubt) < 300


def test_what_decoding_would_change_of_series_and_of_mixed_depths_is_told(tmp_path):
    generator = np.random.default_rng(0)
    npy = [io.BytesIO() for _ in range(45)]
    for number, file in enumerate(npy):
        np.save(file, generator.normal(size=(40 + 5 * number, 2)))
    (tmp_path / "a").mkdir()
    series = table(tmp_path / "a", "shake", [file.getvalue() for file in npy], "npy")
    assert "; each is stretched to 2" in "\n".join(summary.lines(series, tmp_path / "a/t.csv"))
    (tmp_path / "b").mkdir()
    dtypes = [np.uint8, np.uint16]
    scans = [picture(generator.integers(0, 250, (9, 9)).astype(dtypes[number % 2])) for number in range(45)]
    mixed = table(tmp_path / "b", "scan", scans, "png")
    assert "; gray values of eight and of more bits are mixed" in "\n".join(summary.lines(mixed, tmp_path / "b/t.csv"))
    (tmp_path / "c").mkdir()
    even = table(tmp_path / "c", "scan", [picture(np.full((9, 9), number, np.uint8)) for number in range(45)], "png")
    assert "mixed" not in "\n".join(summary.lines(even, tmp_path / "c/t.csv"))
