"""The arrows between folders, the levels of the library, and dvc.yaml against what the code really imports."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.imports import ROOT, closure, imported_modules, own_files
from umemma import parameters

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
PLUGINS = ("datasets", "encoders", "decoders", "heads")
GROUPS = {f"umemma/{path.parent.name}" for path in (ROOT / "umemma").glob("*/__init__.py")} - {
    f"umemma/{folder}" for folder in PLUGINS}
LIBRARY = sorted((ROOT / "umemma").rglob("*.py"))
HOMES = {  # the modules of umemma that may import a tool
    "mlflow": {"tracking"}, "great_expectations": {"expectations", "expected"},
    "webdataset": {"shards", "shard_writer"}, "hydra": {"composition"}, "prefect": set(), "dvc": set(),
    "ruamel": {"parameters", "composition"},
}
LEVELS = [
    {"errors", "__init__"},
    {"files", "progress", "parameters", "sample", "batch", "missingness", "svg", "any_rate", "probe", "bootstrap",
     "tuning", "resolvers"},
    {"substitutes", "truth", "arms", "information", "metrics", "lengths", "resizing", "kinds.__init__",
     "kinds.signature", "augmentations.__init__", "augmentations.change", "layouts.__init__", "layouts.plain_pickle",
     "layouts.cutting", "layouts.lists", "layouts.listed", "tables.__init__", "tables.cells", "tables.text",
     "tables.paths", "tables.splits", "backbone", "frames", "language_model", "pretrained"},
    {"kinds.array", "kinds.image", "kinds.container", "kinds.text", "augmentations.masks", "augmentations.pictures",
     "augmentations.signals", "layouts.clip_files", "layouts.mmimdb_hdf5", "tables.file", "tables.series",
     "tables.labels"},
    {"kinds.sound", "kinds.video", "tables.sources"}, {"kinds.audio", "waves", "augment", "tables.members"},
    {"tables.rows"},
    {"media", "download", "weights", "composition", "report", "compute", "masks", "leak", "left_out", "quarantine",
     "watched", "trunks", "calibration"}
    | {f"{folder}.{name}" for folder in PLUGINS for name in [*parameters.plugins(folder), "__init__"]},
    {"raw", "adapters", "shards", "manifest", "decoded", "towers", "encoding", "late_fusion", "early_fusion", "panel",
     "answers", "sample_row", "shard_writer"},
    {"expected"}, {"census"}, {"drift", "duplicates"}, {"sample_expectations"}, {"media_expectations"},
    {"expectations"},
    {"encoded"}, {"model", "training", "evaluation", "thresholds", "tracking", "course"},
    {"answering"},
    {"fusion", "comparison", "written"},
    {"accounting", "charts", "findings"},
    {"pictures"}, {"page"},
    {"setup.__init__", "setup.conf_file", "setup.starting_values", "setup.columns"},
    {"setup.roles", "setup.modalities", "setup.places", "setup.survey"}, {"setup.proposal"}, {"setup.init"},
    {"__main__"},
]
SAME_LEVEL = {
    ("batch", "missingness"), ("decoded", "shards"), ("encoding", "towers"), ("late_fusion", "encoding"),
    ("late_fusion", "towers"), ("heads.sum_logits", "heads.product_of_experts"),
    ("layouts.listed", "layouts.lists"), ("shard_writer", "shards"),
    ("shard_writer", "sample_row"), ("tracking", "training"),
}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "umemma").with_suffix("").parts)


def level(path: Path) -> int:
    return next(number for number, names in enumerate(LEVELS) if dotted(path) in names)


def test_every_file_of_the_library_has_a_level():
    assert {dotted(path) for path in LIBRARY} == set().union(*LEVELS)


@pytest.mark.parametrize("path", LIBRARY, ids=dotted)
def test_a_file_imports_only_from_the_levels_above_it(path):
    for other in own_files(path):
        names = (dotted(path), dotted(other))
        allowed = other.name == "__init__.py" or level(other) < level(path) or names in SAME_LEVEL
        assert allowed, "{} imports {}".format(*names)


@pytest.mark.parametrize("path", LIBRARY, ids=dotted)
def test_each_tool_is_imported_in_its_one_home(path):
    tools = {name.split(".")[0] for name in imported_modules(path)} & HOMES.keys()
    assert not {tool for tool in tools if dotted(path) not in HOMES[tool]}


@pytest.mark.parametrize("folder", ["umemma", "stages", "flows"])
def test_arrows_go_one_way(folder):
    forbidden = {"umemma": {"stages", "flows", "tests"}, "stages": {"flows", "tests", "prefect"},
                 "flows": {"stages", "tests", "torch", "mlflow", "great_expectations", "pandas"}}[folder]
    for path in (ROOT / folder).rglob("*.py"):
        assert not {name.split(".")[0] for name in imported_modules(path)} & forbidden, path


def test_no_stage_is_named_in_flows():
    names = "|".join(map(re.escape, STAGES))
    for path in (ROOT / "flows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            assert not re.fullmatch(names, text), f"{path.name}: {text}"


def test_every_stage_is_one_script_and_every_script_one_stage():
    assert set(STAGES) == {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    for name, stage in STAGES.items():
        assert stage["cmd"].split()[:3] == ["python", "-m", f"stages.{name}"]


def loaded_folders(name: str) -> set[str]:
    """Return the plug-in folders that a stage, or what it imports, loads modules of by name."""
    sources = [path.read_text() for path in closure(ROOT / f"stages/{name}.py")]
    return {folder for source in sources for folder in re.findall(r'import_module\(f"umemma\.(\w+)\.', source)}


def modules_in(folder: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("*.py") if path.name != "__init__.py"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_code_it_runs(name):
    """By name, or by its folder where it runs all of it; a plug-in by the parameter that chooses it, or by its folder
    where a stage runs what others chose.
    """
    needed = closure(ROOT / f"stages/{name}.py")
    by_choice = set()
    for folder in loaded_folders(name):
        modules = [ROOT / f"umemma/{folder}/{module}.py" for module in parameters.plugins(folder)]
        others = set().union(*(closure(module) - {module} for module in modules))
        needed |= others
        by_choice |= set(modules) - others  # a module that another one imports is not covered by naming that one
    needed = {str(path.relative_to(ROOT)) for path in needed if path.name != "__init__.py"}
    code = {dep for dep in STAGES[name]["deps"] if not dep.startswith("data/")} - {"${dataset.watch.record}"}
    needed |= {str(path.relative_to(ROOT)) for path in (ROOT / "umemma").glob("*.html")} if name == "report" else set()
    folders = {dep for dep in code if "." not in dep}
    chosen = {dep for dep in code if "$" in dep}

    def in_folder(path: str) -> bool:
        return any(path.startswith(folder + "/") for folder in folders)

    assert {path for path in needed if not in_folder(path)} == code - folders - chosen
    assert {folder for folder in GROUPS if modules_in(folder) <= needed} == folders & GROUPS
    covered = {dep.rsplit("/", 1)[0] for dep in chosen} | folders - GROUPS
    assert {str(path.parent.relative_to(ROOT)) for path in by_choice} == covered


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_only_sections_it_declares(name):
    source = (ROOT / f"stages/{name}.py").read_text()
    read = set(re.findall(r"\bsettings\.(\w+)", source)) | set(re.findall(r"parameters\.read\(\)\.(\w+)", source))
    declared = {key.split(".")[0] for key in STAGES[name].get("params", [])}
    assert read <= declared | {"dataset"}


@pytest.mark.parametrize("name", STAGES)
def test_every_data_path_in_a_script_is_declared(name):
    def paths(entries):
        return {next(iter(one)) if isinstance(one, dict) else one for one in entries}

    stage = STAGES[name]
    declared = set().union(*(paths(stage.get(kind, [])) for kind in ("deps", "outs", "metrics", "plots")))
    declared = {re.sub(r"\$\{\w+(\.\w+)?\}", "*", path) for path in declared}
    for written in re.findall(r'"(data/[^"]+)"', (ROOT / f"stages/{name}.py").read_text()):
        path = re.sub(r"\{\w+\}", "*", written)
        assert any(known == path or known.startswith(path + "/") or path.startswith(known + "/")
                   for known in declared), f"{name}: {path}"


def test_no_file_names_a_registry_or_a_machine():
    for path in ROOT.glob("requirements*.txt"):
        assert not re.search(r"https?://|--index-url|--find-links", path.read_text())
