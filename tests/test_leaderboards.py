"""The leaderboards of docs/leaderboards: every figure says where it is from and whether it compares."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from umemma.named_protocol import is_named

ROOT = Path(__file__).parents[1]
BOARDS = {path.stem: YAML(typ="safe").load(path.read_text()) for path in (ROOT / "docs/leaderboards").glob("*.yaml")}
KEYS = ["score", "protocol", "split", "command", "ours", "published", "remark"]
FIGURE = r"\d+\.\d+( ± \d+\.\d+)?"
each = pytest.mark.parametrize("name", sorted(BOARDS))


@each
def test_a_board_is_of_a_data_set_and_says_what_is_measured_and_how_to_run_it(name):
    board = BOARDS[name]
    assert (ROOT / f"conf/dataset/{name}.yaml").exists()
    assert list(board) == KEYS
    assert re.fullmatch(r"make (run|ablation|benchmark) .*" + name + r".*", board["command"])
    assert all(is_named(protocol) for protocol in board["protocol"].split(", "))
    assert board["ours"] or "no figure" in board["remark"]


@each
def test_every_figure_says_its_source_and_whether_the_split_is_the_same(name):
    for row in BOARDS[name]["published"]:
        assert set(row) == {"model", "values", "source", "where", "read_in", "same_split"}
        assert re.match(r"arXiv \d{4}\.\d{5}$|https://", row["source"])
        assert row["where"].strip()
        assert row["read_in"] in ("paper", "copy", "two copies", "summary")
        assert row["same_split"] in (True, False, "unknown")
    for row in BOARDS[name]["ours"]:
        assert set(row) == {"model", "values", "commit", "date", "seeds"}
        assert re.fullmatch(r"[0-9a-f]{7}", str(row["commit"]))
    for row in [*BOARDS[name]["ours"], *BOARDS[name]["published"]]:
        for figure in row["values"].values():
            assert re.fullmatch(rf"{FIGURE}( / {FIGURE})?", figure), row  # text, since 91.90 is no 91.9


@each
def test_our_figures_are_those_of_the_page_of_results(name):
    pages = "\n".join((ROOT / f"docs/{page}.md").read_text() for page in ("results", "benchmark"))
    for row in BOARDS[name]["ours"]:
        for figure in row["values"].values():
            assert all(part in pages for part in figure.split(" / ")), figure
        assert str(row["commit"]) in pages
