"""The stage `code`: which changes count as a change of a stage's code, and which do not."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stages import code

FILES = {
    "umemma/__init__.py": "",
    "umemma/scale.py": '"""Scales."""\n\nFACTOR = 2  # of two\n\n\ndef scaled(x):\n    """Return it."""\n    return FACTOR * x\n',
    "umemma/models/encoders/__init__.py": '"""Plug-ins."""\n',
    "umemma/models/encoders/small.py": "from umemma import scale\n",
    "umemma/media/decoders/__init__.py": "",
    "umemma/media/decoders/text.py": "SIZE = 1\n",
    "umemma/sources/adapters/__init__.py": "",
    "umemma/towers.py": 'from importlib import import_module\n\n\ndef f(name):\n    import_module(f"umemma.models.encoders.{name}")\n',
    "umemma/page.py": 'TEMPLATE = "page.html"\n',
    "umemma/page.html": "<p>",
    "umemma/unused.py": "",
    "umemma/parameters.py": "from umemma import limits, scale\n",
    "umemma/limits.py": "MOST = 1\n",
    "stages/check.py": "from umemma import parameters\n",
    "stages/__init__.py": "",
    "stages/train.py": "def main():\n    from umemma import towers\n",
    "stages/report.py": "from typing import TYPE_CHECKING\n\nfrom umemma import page\n\nif TYPE_CHECKING:\n    import umemma.scale\n",
    "stages/decode.py": 'from importlib import import_module\nimport_module(f"umemma.media.decoders.{1}")\n',
}
Digests = dict[str, dict[str, str]]


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Digests]:
    """Write the small project, with some files changed, and return what the stage writes."""
    monkeypatch.chdir(tmp_path)

    def run(**changed: tuple[str, str]) -> Digests:
        for name, text in FILES.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
        for name, (before, after) in changed.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text() if path.exists() else before
            assert before in text
            path.write_text(text.replace(before, after))
        for function in (
            code.tree,
            code.digest,
            code.running,
            code.imported,
            code.loaded_folders,
            code.needed,
            code._late,
        ):
            function.cache_clear()
        code.main()
        return {
            str(path.relative_to("data/code")): json.loads(path.read_text())
            for path in sorted(Path("data/code").rglob("*.json"))
        }

    return run


def changed(before: Digests, after: Digests) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_stage_holds_what_it_imports_in_functions_and_plugins_loaded_by_name(digests):
    assert {
        "umemma/towers.py",
        "umemma/models/encoders/small.py",
        "umemma/scale.py",
        "umemma/__init__.py",
        "stages/__init__.py",
    } < digests()["train.json"].keys()
    assert "umemma/unused.py" not in digests()["train.json"]


def test_what_only_a_type_checker_reads_is_not_code_of_a_stage(digests):
    assert "umemma/scale.py" not in digests()["report.json"]


def test_a_file_that_is_no_python_counts_where_a_module_beside_it_names_it(digests):
    assert changed(digests(), digests(**{"umemma/page.html": ("<p>", "<b>")})) == {"report.json"}


@pytest.mark.parametrize(
    "edit", [('"""Scales."""', '"""Other."""'), ("# of two", "# of 2"), ('"""Return it."""\n', '"""R."""\n\n')]
)
def test_a_docstring_or_comment_changes_nothing(digests, edit):
    assert not changed(digests(), digests(**{"umemma/scale.py": edit}))


@pytest.mark.parametrize(
    "edit",
    [
        ("FACTOR = 2", "FACTOR = 2.0"),
        ("FACTOR = 2", 'FACTOR = "2"'),
        ("return FACTOR", "return -FACTOR"),
        ("def scaled(x)", "def scaled(x, y=1)"),
        ("FACTOR = 2", "FACTOR = True"),
    ],
)
def test_a_constant_or_statement_makes_stale_what_runs_it_and_nothing_else(digests, edit):
    assert changed(digests(), digests(**{"umemma/scale.py": edit})) == {"train.json"}


def test_a_chosen_plugin_has_a_file_of_its_own(digests):
    assert changed(digests(), digests(**{"umemma/media/decoders/text.py": ("1", "2")})) == {"decoders/text.json"}


def test_a_new_parameter_of_another_room_makes_no_stage_stale_that_only_checks_it(digests):
    assert not changed(digests(), digests(**{"umemma/limits.py": ("MOST = 1", "MOST = 2")}))
    assert changed(digests(), digests(**{"umemma/parameters.py": ("limits, scale", "limits")})) == {"check.json"}


def test_a_new_plugin_is_seen(digests):
    assert changed(digests(), digests(**{"umemma/models/encoders/new.py": ("", "X = 1\n")})) == {"train.json"}


def test_a_plugin_loaded_by_a_name_that_cannot_be_read_is_a_bug(digests):
    with pytest.raises(AssertionError, match="f-string"):
        digests(**{"stages/train.py": ("from umemma import towers", "import importlib; importlib.import_module(name)")})


LATE = (
    '__all__ = ["scaled"]\n\n\ndef __getattr__(name):\n    from importlib import import_module\n\n'
    '    return getattr(import_module({"scaled": "umemma.scale"}[name]), name)\n'
)


def test_what_a_package_loads_late_is_no_code_of_those_that_never_ask_for_it(digests):
    after = digests(**{"umemma/__init__.py": ("", LATE)})
    assert "umemma/scale.py" not in after["report.json"]
    assert "umemma/__init__.py" in after["report.json"]


def test_a_name_that_a_package_loads_late_is_imported_from_its_own_module_or_it_is_a_bug(digests):
    with pytest.raises(AssertionError, match=r"train\.py: import scaled from its own module"):
        digests(
            **{
                "umemma/__init__.py": ("", LATE),
                "stages/train.py": ("from umemma import towers", "from umemma import scaled"),
            }
        )


def test_the_digests_of_the_project_need_nothing_but_the_standard_library():
    assert os.path.basename(code.__file__) == "code.py"
    allowed = {"ast", "hashlib", "json", "shutil", "collections", "functools", "pathlib"}
    assert {name.split(".")[0] for name in code.imported(Path(code.__file__))} <= allowed
