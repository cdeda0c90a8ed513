"""Import directions between folders, the floors of the library, and dvc.yaml against the actual imports."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages import code
from tests.imports import ROOT, imported_modules, own_files

PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
LIBRARY = sorted((ROOT / "umemma").rglob("*.py"))
HOMES = {  # the modules of umemma that may import a tool
    "mlflow": {
        f"tracking.{name}"
        for name in ("log", "find", "entities", "database", "store", "registry", "model", "model_code")
    },
    "great_expectations": {"validation.gate", "validation.expectation"},
    "webdataset": {"data.shards", "data.shard_writer"},
    "hydra": {"composition"},
    "prefect": set(),
    "dvc": set(),
    "ruamel": {"parameters", "composition"},
    "submitit": {"launchers.slurm_launcher"},
    "ray": {"launchers.ray_launcher"},
}
ROOMS = [  # floors: a room imports from its own files and from floors above it
    {"ground"},
    {"metrics", "reporting", "launchers"},
    {"media"},
    {"data"},
    {"validation", "models"},
    {"prediction"},
    {"training", "evaluation"},
    {"parameters"},
    {"sources", "composition", "profiling"},
    {"serving"},
    {"init", "tracking", "monitoring"},
    {"__main__"},
]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "umemma").with_suffix("").parts)


def room(path: Path) -> str:
    """Return the folder of a file, or `ground` for most files outside of any."""
    name = path.relative_to(ROOT / "umemma").with_suffix("").parts[0]
    return "ground" if path.parent.name == "umemma" and name not in set().union(*ROOMS) else name


def floor(path: Path) -> int:
    return next(number for number, rooms in enumerate(ROOMS) if room(path) in rooms)


def test_every_file_of_the_library_lies_in_a_room():
    assert {room(path) for path in LIBRARY} == set().union(*ROOMS)


@pytest.mark.parametrize("path", LIBRARY, ids=dotted)
def test_a_room_imports_only_from_the_floors_above_it(path):
    for other in own_files(path) - {ROOT / "umemma/__init__.py"}:
        allowed = room(other) == room(path) or floor(other) < floor(path)
        assert allowed, f"{dotted(path)} imports {dotted(other)}"


@pytest.mark.parametrize("path", LIBRARY, ids=dotted)
def test_each_tool_is_imported_in_its_one_home(path):
    tools = {name.split(".")[0] for name in imported_modules(path)} & HOMES.keys()
    assert not {tool for tool in tools if dotted(path) not in HOMES[tool]}


@pytest.mark.parametrize("folder", ["umemma", "stages", "flows"])
def test_arrows_go_one_way(folder):
    forbidden = {
        "umemma": {"stages", "flows", "tests"},
        "stages": {"flows", "tests", "prefect"},
        "flows": {"stages", "tests", "torch", "mlflow", "great_expectations", "pandas"},
    }[folder]
    for path in (ROOT / folder).rglob("*.py"):
        assert not {name.split(".")[0] for name in imported_modules(path)} & forbidden, path


def test_no_stage_is_named_in_flows():
    names = "|".join(map(re.escape, STAGES))
    for path in (ROOT / "flows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            assert not re.fullmatch(names, text), f"{path.name}: {text}"


def test_every_stage_is_one_script_and_every_script_one_stage():
    assert set(STAGES) == {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    for name, stage in STAGES.items():
        assert stage["cmd"].split()[:3] == ["python", "-m", f"stages.{name}"]


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"code"}))
def test_a_stage_depends_on_its_code(name):
    """Each stage depends on its file from the stage `code`, and on that of a plug-in that a parameter chooses."""
    script = Path(f"stages/{name}.py")
    chosen = {
        folder for path in code.closure(script) if path.suffix == ".py" for folder in code.loaded_folders(path)
    } & set(code.CHOSEN)
    declared = {dep for dep in STAGES[name]["deps"] if dep.startswith("data/code/")}
    plugins = {Path(dep).parent.name for dep in declared if "$" in dep}
    assert {dep for dep in declared if "$" not in dep} == {f"data/code/{name}.json"}
    assert plugins == {Path(folder).name for folder in chosen}


def test_no_value_of_params_yaml_reaches_a_shell():
    assert not [stage["cmd"] for stage in STAGES.values() if "$" in stage["cmd"]]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_reads_only_sections_it_declares(name):
    source = (ROOT / f"stages/{name}.py").read_text()
    read = set(re.findall(r"\bsettings\.(\w+)", source)) | set(re.findall(r"parameters\.read\(\)\.(\w+)", source))
    declared = {key.split(".")[0] for key in STAGES[name].get("params", [])}
    assert read <= declared | {"dataset", "launcher"}, "where a stage runs changes none of its bytes"


@pytest.mark.parametrize("name", STAGES)
def test_every_data_path_in_a_script_is_declared(name):
    def paths(entries):
        return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}

    stage = STAGES[name]
    declared = set().union(*(paths(stage.get(kind, [])) for kind in ("deps", "outs", "metrics", "plots")))
    declared = {re.sub(r"\$\{\w+(\.\w+)?\}", "*", path) for path in declared}
    for literal in re.findall(r'"(data/[^"]+)"', (ROOT / f"stages/{name}.py").read_text()):
        path = re.sub(r"\{\w+\}", "*", literal)
        assert any(
            known == path or known.startswith(path + "/") or path.startswith(known + "/") for known in declared
        ), f"{name}: {path}"


def test_no_file_names_a_registry_or_a_machine():
    for path in ROOT.glob("requirements*.txt"):
        assert not re.search(r"https?://|--index-url|--find-links", path.read_text())
