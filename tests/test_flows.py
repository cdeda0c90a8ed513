"""What the flow is built on, on a toy project: graph, overrides, processes and worktrees."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest
import yaml

from flows.experiments import Experiments
from flows.graph import project_root, read_graph
from flows.overrides import apply_overrides, check_overrides
from flows.processes import Cancelled, Children, Finished
from flows.results import RESULTS, read, table
from flows.workspace import experiment, own_workspace, prune
from umemma.errors import ParameterError, UmemmaError

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a library under DVC

REPOSITORY = Path(__file__).resolve().parents[1]

DVC_YAML = """
stages:
  prepare:
    cmd: python step.py prepare data/raw.txt
    deps: [step.py]
    params: [prepare]
    outs: [data/raw.txt]
  train:
    foreach: ${data.modalities}
    do:
      cmd: python step.py train-${key} data/${key}.txt
      deps: [step.py, data/raw.txt]
      params: ["data.modalities.${key}"]
      outs: ["data/${key}.txt"]
  fuse:
    cmd: python step.py fuse data/model.txt
    deps: [step.py, data/image.txt, data/audio.txt]
    params: [fuse]
    outs: [data/model.txt]
    meta: {gpu: 1, retries: 1, retry_delay_seconds: 0.1, timeout_seconds: 600}
  report:
    cmd: python step.py report data/reports/robustness.json
    deps: [step.py, data/model.txt]
    metrics:
      - data/reports/robustness.json
"""

# One stage: waits and fails as the parameters say, copies its parameters and the environment's anchors to its output.
STEP = """
import json, os, sys, time, pathlib, yaml
name, out = sys.argv[1:]
home = os.environ.get("UMEMMA_HOME") or os.environ["DVC_ROOT"]
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
out = pathlib.Path(out)
out.parent.mkdir(exist_ok=True, parents=True)
print("hello from", name, flush=True)
if name == "fuse":
    flag = pathlib.Path(home, ".dvc", "tmp", "tries")
    tries = int(flag.read_text()) if flag.exists() else 0
    flag.write_text(str(tries + 1))
    if tries < params["fuse"]["failures"]:
        sys.exit("ERROR: no such head")
    pathlib.Path(home, ".dvc", "tmp", "pid").write_text(str(os.getpid()))
    time.sleep(params["fuse"]["seconds"])
if name == "report":
    report = {"dataset": {"name": params["data"]["name"]}, "arm": "a", "seed": 0,
              "patterns": {"image+audio": {"n": 5, "accuracy": params["fuse"]["rate"], "uni": None}}, "rates": []}
    out.write_text(json.dumps(report))
else:
    keys = {"prepare": ["prepare"], "fuse": ["fuse"]}.get(name, [])
    out.write_text(name + json.dumps({key: params[key] for key in keys}))
"""

CONFIG = """
defaults:
  - _self_
  - data: small
prepare: {rows: 3}
fuse: {rate: 0.5, seconds: 0, failures: 0}
"""
GROUP = "name: {0}\nmodalities:\n  image: {{epochs: 1}}\n  audio: {{epochs: {1}}}\n"


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    identity = {f"GIT_{who}_{field}": "t@t" for who in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "DVC_", "UMEMMA_"))}
    quiet = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}
    return {**inherited, **identity, **quiet, "PATH": path, "PYTHONPATH": str(REPOSITORY)}


def call(root: Path, *command: str, code: int = 0) -> str:
    """Run a command in the toy project; return stdout and stderr."""
    done = subprocess.run(
        command,
        cwd=root,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def make_toy(root: Path) -> Path:
    """Make a DVC project of five stages under `root` and commit it."""
    groups = {f"conf/data/{name}.yaml": GROUP.format(name, epochs) for name, epochs in (("small", 1), ("large", 9))}
    ignored = "/data/\n/.prefect/\n/prefect.toml\n__pycache__/\n"
    files = {"dvc.yaml": DVC_YAML, "step.py": STEP, "conf/config.yaml": CONFIG, ".gitignore": ignored, **groups}
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    call(root, "git", "init", "-q", "-b", "main")
    call(root, "dvc", "init", "-q")
    call(root, "dvc", "config", "hydra.enabled", "true")
    check_overrides(root, ["fuse.rate=0.5"], root / "params.yaml")
    call(root, "git", "add", ".")
    call(root, "git", "commit", "-q", "-m", "toy")
    return root


@pytest.fixture(scope="session")
def committed_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def toy(committed_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(committed_toy, tmp_path / "toy")
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    return tmp_path / "toy"


@pytest.fixture
def children() -> Iterator[Children]:
    started = Children()
    yield started
    started.end()


def nothing_left(root: Path) -> bool:
    worktrees = call(root, "git", "worktree", "list").splitlines()
    return len(worktrees) == 1 and not list((root / ".dvc" / "tmp" / "flows").glob("*"))


def wait_for(path: Path, seconds: float = 150) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def is_gone(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def set_params(root: Path, section: str, **values: object) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text())
    params[section].update(values)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_the_graph_is_the_one_of_dvc_yaml(toy: Path) -> None:
    graph = read_graph(toy)
    stages = {stage.name: stage for stage in graph.stages}
    assert graph.stages[0].name == "prepare"
    assert stages["fuse"].upstreams == ("train@audio", "train@image")
    fuse, report = stages["fuse"], stages["report"]
    assert (fuse.needs_gpu, fuse.retries, fuse.retry_delay_seconds, fuse.timeout_seconds) == (True, 1, 0.1, 600)
    assert (report.needs_gpu, report.retries, report.retry_delay_seconds, report.timeout_seconds) == (False, 0, 1, None)
    assert graph.stale == set(stages)
    seen: set[str] = set()
    for stage in graph.stages:
        assert seen.issuperset(stage.upstreams)
        seen.add(stage.name)


@pytest.mark.parametrize("meta", ["retries: -1", "retries: yes", "timeout_seconds: 0", "retry_delay_seconds: 1 min"])
def test_a_meta_that_does_not_fit_is_named(toy: Path, meta: str) -> None:
    (toy / "dvc.yaml").write_text(DVC_YAML.replace("retries: 1, retry_delay_seconds: 0.1, timeout_seconds: 600", meta))
    with pytest.raises(ParameterError, match=rf"dvc\.yaml: meta\.{meta.partition(':')[0]} of fuse is .*; it must be a"):
        read_graph(toy)


def test_only_what_changed_is_stale(toy: Path) -> None:
    call(toy, "dvc", "repro", "-q")
    assert not read_graph(toy).stale
    set_params(toy, "fuse", rate=0.9)
    assert read_graph(toy).stale == {"fuse"}
    (toy / "data" / "image.txt").unlink()
    assert read_graph(toy).stale == {"fuse", "train@image"}


def test_a_target_brings_what_it_needs_and_no_more(toy: Path) -> None:
    graph = read_graph(toy)
    assert {stage.name for stage in graph.upto(["train"]).stages} == {"prepare", "train@image", "train@audio"}
    assert {stage.name for stage in graph.upto(["train@audio"]).stages} == {"prepare", "train@audio"}
    with pytest.raises(ParameterError, match=r"no stage called 'tain'.*Did you mean 'train'"):
        graph.upto(["tain"])


def test_the_graph_is_the_same_from_another_folder(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(toy, "dvc", "repro", "-q")
    monkeypatch.chdir(toy.parent)
    here = read_graph(toy)
    monkeypatch.chdir(toy / "data")
    assert read_graph(toy) == here
    assert project_root(Path.cwd()) == toy


def test_a_folder_outside_any_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(UmemmaError, match="not inside a DVC project"):
        project_root(tmp_path)


def test_a_broken_pipeline_is_an_error_that_names_the_file(toy: Path) -> None:
    (toy / "dvc.yaml").write_text("stages: {a: {cmd: '${nothing}'}}")
    with pytest.raises(UmemmaError, match=r"nothing"):
        read_graph(toy)


def test_overrides_do_what_dvc_does_with_them(toy: Path) -> None:
    overrides = ["data=large", "fuse.rate=0.75", "+fuse.extra=[1,2]"]
    other = toy.parent / "other"
    shutil.copytree(toy, other)
    call(other, "dvc", "exp", "run", "-q", *(word for line in overrides for word in ("-S", line)))
    assert apply_overrides(toy, overrides) == ["params.yaml"]
    assert (toy / "params.yaml").read_text() == (other / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fuse.rte=1", "-S fuse.rte=1: params.yaml.fuse: there is no parameter called 'rte'.*Did you mean 'rate'"),
        ("fues.rate=1", "params.yaml: there is no parameter called 'fues'.*Did you mean 'fuse'"),
        ("data=larg", "data=larg"),
        ("fuse.rate=1,2", "sweep"),
        ("fuse.rate", "not of the form key=value"),
    ],
)
def test_an_override_that_does_not_fit_names_the_key_and_changes_nothing(
    toy: Path, override: str, message: str
) -> None:
    before = (toy / "params.yaml").read_text()
    with pytest.raises(ParameterError, match=message):
        check_overrides(toy, [override], toy.parent / "scratch.yaml")
    with pytest.raises(ParameterError, match=message), experiment(toy, [override], "name", print):
        pass
    assert (toy / "params.yaml").read_text() == before
    assert nothing_left(toy)


@pytest.mark.parametrize("file", ["{outside}", "../outside.yaml", "conf/config.yaml", "./params.yaml", "params.yaml/"])
def test_an_override_of_another_file_changes_none(toy: Path, file: str) -> None:
    outside = toy.parent / "outside.yaml"
    outside.write_text("key: old\nfuse: {rate: 0}\n")
    contents = [path.read_bytes() for path in (outside, toy / "conf/config.yaml", toy / "params.yaml")]
    for override in (f"{file}:key=new", f"{file}:fuse.rate=1"):
        line = override.format(outside=outside)
        with pytest.raises(ParameterError, match=r"is not params\.yaml, the one file"):
            check_overrides(toy, [line], toy.parent / "scratch.yaml")
        with pytest.raises(ParameterError, match=r"is not params\.yaml, the one file"):
            apply_overrides(toy, [line])
        with pytest.raises(ParameterError, match=r"is not params\.yaml"), experiment(toy, [line], "name", print):
            pass
    assert [path.read_bytes() for path in (outside, toy / "conf/config.yaml", toy / "params.yaml")] == contents
    assert apply_overrides(toy, ["params.yaml:fuse.rate=0.25"]) == ["params.yaml"]


@pytest.mark.parametrize("hydra", ["true", "false"])
def test_an_override_cannot_read_the_environment(toy: Path, monkeypatch: pytest.MonkeyPatch, hydra: str) -> None:
    call(toy, "dvc", "config", "hydra.enabled", hydra)
    monkeypatch.setenv("SECRET", "hunter2")
    for override in ("fuse.rate=${oc.env:SECRET}", "fuse.rate=${oc.decode:${oc.env:SECRET}}"):
        with pytest.raises(ParameterError) as error:
            apply_overrides(toy, [override])
        assert "hunter2" not in str(error.value) + (toy / "params.yaml").read_text()


@pytest.mark.parametrize("override", ["hydra.searchpath=[file:///tmp]", "+hydra.x=1", "hydra/launcher=basic"])
def test_an_override_cannot_change_where_hydra_looks(toy: Path, override: str) -> None:
    with pytest.raises(ParameterError, match="how Hydra itself works"):
        apply_overrides(toy, [override])


@pytest.mark.parametrize("name", ["x;id", "x$(id)", "`id`", "a&b", "a'b", "../x", "a/b", "-x", "", ".x", "a b", "x\ny"])
def test_the_name_of_an_experiment_is_a_plain_one(toy: Path, name: str) -> None:
    with pytest.raises(ParameterError, match="not a name for an experiment"), experiment(toy, [], name, print):
        pass
    assert nothing_left(toy)


def test_without_hydra_an_override_changes_the_value_where_it_stands(toy: Path) -> None:
    call(toy, "dvc", "config", "hydra.enabled", "false")
    apply_overrides(toy, ["fuse.rate=0.75"])
    assert yaml.safe_load((toy / "params.yaml").read_text())["fuse"]["rate"] == 0.75
    with pytest.raises(ParameterError, match="no parameter called 'rte'"):
        apply_overrides(toy, ["fuse.rte=1"])


def test_lines_and_the_exit_code_come_back(toy: Path, children: Children) -> None:
    set_params(toy, "fuse", failures=9)
    lines: list[str] = []
    here = own_workspace(toy)
    done = children.dvc(["repro", "fuse"], cwd=toy, environment=here.environment(), on_line=lines.append)
    assert done.returncode != 0
    assert "hello from prepare" in lines
    assert any("no such head" in line for line in done.tail)


def test_ending_the_children_ends_the_stage(toy: Path, children: Children) -> None:
    set_params(toy, "fuse", seconds=120)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            children.dvc(["repro"], cwd=toy, environment=own_workspace(toy).environment(), on_line=lambda line: None)
        except Cancelled as error:
            raised.append(error)

    thread = Thread(target=work)
    thread.start()
    pid = int(wait_for(toy / ".dvc" / "tmp" / "pid"))
    children.end()
    thread.join(10)
    assert raised
    assert is_gone(pid)
    with pytest.raises(Cancelled):
        children.dvc(["version"], cwd=toy, environment=own_workspace(toy).environment(), on_line=print)


def test_killing_the_parent_ends_the_stage(toy: Path) -> None:
    set_params(toy, "fuse", seconds=120)
    script = (
        "from pathlib import Path; from flows.processes import Children; from flows.workspace import own_workspace;"
        "here = Path.cwd();"
        "Children().dvc(['repro'], cwd=here, environment=own_workspace(here).environment(), on_line=lambda line: None)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=toy, env=environment())
    try:
        pid = int(wait_for(toy / ".dvc" / "tmp" / "pid"))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert is_gone(pid)


def test_a_stage_that_takes_too_long_is_ended_with_its_processes(toy: Path, children: Children) -> None:
    call(toy, "dvc", "repro", "-q", "train")
    set_params(toy, "fuse", seconds=120)
    here = own_workspace(toy)
    ended: list[Finished] = []

    def work() -> None:
        ended.append(
            children.dvc(
                ["repro"], cwd=toy, environment=here.environment(), on_line=lambda line: None, timeout_seconds=10
            )
        )

    thread = Thread(target=work)
    thread.start()
    pid = int(wait_for(toy / ".dvc" / "tmp" / "pid"))
    thread.join(40)
    assert ended[0].has_timed_out
    assert is_gone(pid)


def test_an_experiment_sees_uncommitted_changes_and_becomes_one_of_dvc(toy: Path) -> None:
    call(toy, "dvc", "repro", "-q")
    (toy / "step.py").write_text((toy / "step.py").read_text() + "# changed\n")
    (toy / "unknown.txt").write_text("x")
    before = call(toy, "git", "status", "--porcelain")
    messages: list[str] = []
    with experiment(toy, ["fuse.rate=0.75"], "mine", messages.append) as here:
        assert (here.root / "step.py").read_text().endswith("# changed\n")
        assert here.environment()["UMEMMA_HOME"] == str(toy)
        call(here.root, "dvc", "repro", "-q")
        Experiments(toy, call(here.root, "git", "rev-parse", "HEAD").strip()).keep(here, "mine")
    assert messages[0].endswith("(git add them): unknown.txt")
    assert call(toy, "git", "status", "--porcelain") == before
    assert nothing_left(toy)
    assert call(toy, "dvc", "exp", "list", "--name-only").split() == ["mine"]
    call(toy, "dvc", "exp", "apply", "mine")
    assert (toy / "step.py").read_text().endswith("# changed\n")
    with pytest.raises(ParameterError, match="an experiment of this name"), experiment(toy, [], "mine", print):
        pass


@pytest.mark.parametrize("is_baseline", [False, True])
def test_an_experiment_takes_what_is_in_the_cache(toy: Path, is_baseline: bool) -> None:
    call(toy, "dvc", "repro", "-q")
    if is_baseline:
        call(toy, "git", "add", "dvc.lock")
        call(toy, "git", "commit", "-qm", "baseline")
    with experiment(toy, ["fuse.rate=0.75"], "mine", print) as here:
        assert read_graph(here.root).stale == {"fuse"}
        call(here.root, "dvc", "repro", "-q", "fuse")
        assert not (here.root / ".dvc" / "cache").exists()


def test_a_name_that_a_run_under_way_will_take_is_refused_at_once(toy: Path) -> None:
    with (
        experiment(toy, [], "mine", print),
        pytest.raises(ParameterError, match="under way makes an experiment mine"),
        experiment(toy, [], "mine", print),
    ):
        pass
    with experiment(toy, [], "mine", print), experiment(toy, [], "other", print):
        pass
    assert nothing_left(toy)


def test_what_a_killed_run_left_is_removed_and_what_is_in_use_is_not(toy: Path) -> None:
    store = toy / ".dvc" / "tmp" / "flows"
    with experiment(toy, [], "mine", print) as here:
        call(toy, "git", "worktree", "add", "--detach", "--quiet", str(store / "run-dead"))
        (store / "run-dead.lock").touch()
        prune(toy)
        assert here.root.exists()
        assert not (store / "run-dead").exists()
    assert nothing_left(toy)


def results_file(folder: Path, patterns: dict[str, dict[str, object]]) -> Path:
    file = folder / "r.json"
    file.write_text(json.dumps({"dataset": {"name": "d"}, "arm": "a", "seed": 0, "rates": [], "patterns": patterns}))
    return file


def test_the_table_has_a_row_per_pattern_and_a_column_per_figure(tmp_path: Path) -> None:
    by_class = {"auroc_by_class": {"cat": 1.0}}
    file = results_file(
        tmp_path, {"image": {"n": 5, "accuracy": 0.123456, **by_class}, "audio": {"n": 5, "accuracy": None}}
    )
    results = read(file)
    assert results.rows == (
        {"present": "image", "n": 5, "accuracy": 0.1235},
        {"present": "audio", "n": 5, "accuracy": ""},
    )
    assert results.shown().splitlines()[0] == "d, trained as a, seed 0, test split"
    assert len(table(results.rows).splitlines()) == 3


def test_of_many_patterns_the_fullest_and_each_modality_alone_are_shown_and_the_rest_is_counted(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(20)]
    pairs = [f"{first}+{second}" for first in names for second in names]
    lines = (
        read(results_file(tmp_path, {name: {"n": 1} for name in ["+".join(names), *pairs, *names]}))
        .shown()
        .splitlines()
    )
    assert [line.split()[0] for line in lines[2:-1]] == ["+".join(names), *names]
    assert lines[-1] == f"(and 400 more sets of modalities in {RESULTS})"


def test_no_stage_is_named_in_the_flows() -> None:
    file = REPOSITORY / "dvc.yaml"
    names = list(yaml.safe_load(file.read_text())["stages"]) if file.exists() else []
    text = "".join(path.read_text() for path in (REPOSITORY / "flows").glob("*.py"))
    assert not [name for name in names if re.search(rf"['\"]{name}['\"@]", text)]
