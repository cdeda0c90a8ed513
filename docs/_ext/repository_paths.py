"""A path of the repository in `code` must exist, so that no page names a file that was moved or renamed.

`<name>` and `*` stand for anything. What a run makes, below data/, is held against the outputs of dvc.yaml. Examples
use the data set `films` and the names in EXAMPLES, which do not exist.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util import logging

ROOT = Path(__file__).parents[2]
EXAMPLES = re.compile(r"\b(films|ink|gas|mean_max|colour_histogram|most_confident|publish|published)\b")
_FOLDERS = ("conf", "data", "docs", "flows", "stages", "tests", "umemma", ".ci")
_PATH = re.compile(rf"({'|'.join(map(re.escape, _FOLDERS))})/[\w./<>*-]*")
_MADE_ELSEWHERE = ("data/raw", "data/arms", "data/accepted", "data/docs", "data/reports/ablation")
_BUILT = ("docs/_build",)
logger = logging.getLogger(__name__)


def missing(text: str) -> Iterator[str]:
    """Yield the paths among the words of `text` that the repository does not have."""
    for word in text.split():
        path = word.rstrip(".,;:")
        if _PATH.fullmatch(path) and not EXAMPLES.search(path) and not _exists(path):
            yield path


def setup(app: Any) -> dict[str, bool]:
    """Check every document once it is read."""
    app.connect("doctree-read", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _check(app: Any, doctree: nodes.document) -> None:
    for node in doctree.findall(nodes.literal):
        for path in missing(node.astext()):
            logger.warning("the repository has no %s", path, location=node, type="path")


def _exists(path: str) -> bool:
    pattern = re.sub(r"<[^>]*>", "*", path).rstrip("/")
    if pattern.startswith(_BUILT):
        return True
    if pattern.startswith("data/"):
        return any(pattern.startswith(one) for one in _MADE_ELSEWHERE) or any(
            _meets(pattern, one) for one in _outputs()
        )
    return any(ROOT.glob(pattern))


def _meets(path: str, output: str) -> bool:
    """Whether one is the other or lies in it, part by part; `*` meets anything."""
    return all(
        fnmatch(one, other) or fnmatch(other, one)
        for one, other in zip(path.split("/"), output.split("/"), strict=False)
    )


@cache
def _outputs() -> tuple[str, ...]:
    text = (ROOT / "dvc.yaml").read_text("utf-8")
    return tuple(sorted({re.sub(r"\$\{[^}]*\}", "*", path) for path in re.findall(r"\bdata/[\w./${}-]+", text)}))
