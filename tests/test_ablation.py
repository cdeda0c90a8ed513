"""An ablation on a toy project: planning, running, resuming and comparing; the workspace stays unchanged."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hydra._internal.hydra import Hydra

from flows.comparison import PREDICTIONS, score, score_rows
from flows.experiments import CodeChanged, Experiments, maker
from flows.plan import CHOICES, legal, named, plan
from flows.results import table
from flows.workspace import experiment
from tests.test_flows import call, environment, is_gone, nothing_left, wait_for
from tests.test_flows_server import add_flows, api, free_port, last_run
from umemma.errors import ParameterError, UmemmaError

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of a library under DVC

DVC_YAML = """
stages:
  towers:
    cmd: python step.py towers data/towers.txt
    deps: [step.py]
    params: [seed, dataset]
    outs: [data/towers.txt]
  fit:
    cmd: python step.py fit data/predictions/model.safetensors
    deps: [step.py, data/towers.txt]
    params: [arm, seed, fuse]
    outs: [data/predictions]
    metrics:
      - data/reports/metrics.json: {cache: false}
  weigh:
    cmd: python step.py weigh data/reports/arms.json
    deps: [step.py, data/predictions, data/arms]
    outs:
      - data/reports/report.html
      - data/reports/arms.json
  gate:
    cmd: python step.py gate data/reports/gates.json
    deps: [step.py, data/reports/arms.json]
    metrics:
      - data/reports/gates.json
    plots:
      - data/reports/gates.csv
"""

# Every stage notes in the main checkout that it runs. `fit` waits while the file `hold-ARM-SEED` is there and fails for
# the arm that `fuse.broken` names; it reports an accuracy that depends on arm, seed and rate. `gate` never passes.
STEP = """
import json, os, pathlib, statistics, sys, time, yaml
name, out = sys.argv[1], pathlib.Path(sys.argv[2])
state = pathlib.Path(os.environ.get("UMEMMA_HOME") or os.environ["DVC_ROOT"], ".dvc", "tmp")
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
me = f"{params['arm']}-{params['seed']}"
with open(state / "log", "a") as log:
    log.write(f"{name} {me}\\n")
out.parent.mkdir(exist_ok=True, parents=True)
rate = params["fuse"]["missing_rate"]
if name == "towers":
    out.write_text(str(params["seed"]))
if name == "fit":
    (state / "pid").write_text(str(os.getpid()))
    while (state / f"hold-{me}").exists():
        time.sleep(0.02)
    if params["fuse"]["broken"] == params["arm"]:
        sys.exit("ERROR: no such head")
    accuracy = len(params["arm"]) / 100 + params["seed"] / 50 + rate / 10
    out.write_text(json.dumps({"arm": params["arm"], "rate": rate, "accuracy": accuracy}))
    report = pathlib.Path("data/reports/metrics.json")
    report.parent.mkdir(exist_ok=True, parents=True)
    figures = {"all": accuracy, "worst_single": accuracy, "mean": accuracy, "patterns": {"image": accuracy}}
    report.write_text(json.dumps({"accuracy": figures}))
if name == "weigh":
    arms = {}
    for path in sorted(pathlib.Path("data/arms").glob("*.safetensors")):
        answer = json.loads(path.read_text())
        arms.setdefault(f"{answer['arm']} @ {answer['rate']}", []).append(answer["accuracy"])
    out.write_text(json.dumps({arm: {"image+audio": {"accuracy": {
        "mean": statistics.mean(all), "spread": statistics.stdev(all) if len(all) > 1 else None, "n": len(all)}}}
        for arm, all in arms.items()}))
    pathlib.Path("data/reports/report.html").write_text(f"<p>of {me}: {sorted(arms)}")
if name == "gate":
    sys.exit("ERROR: not passed")
"""

CONFIG = """
defaults:
  - _self_
  - dataset: small
arm: frozen
seed: 0
fuse: {missing_rate: 0.5, broken: none}
"""
IGNORED = """
/data/*
!/data/arms/
/data/arms/*
!/data/arms/.gitkeep
"""
RUN = (sys.executable, "-m", "flows.ablation", "--dataset", "small", "--arms", "ump", "ume-mma", "--seeds", "0", "1")
NAMES = ["small-ump-s0", "small-ume-mma-s0", "small-ump-s1", "small-ume-mma-s1"]


@pytest.fixture(scope="session")
def committed_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ablation")
    files = {
        "dvc.yaml": DVC_YAML, "step.py": STEP, "conf/config.yaml": CONFIG, "conf/dataset/small.yaml": "name: small",
        ".gitignore": IGNORED, "data/arms/.gitkeep": "",
        "params.yaml": yaml.safe_dump({**yaml.safe_load(CONFIG.split("dataset: small")[1]), "dataset": {"name": "x"}}),
    }  # fmt: skip
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    call(root, "git", "init", "-q", "-b", "main")
    call(root, "dvc", "init", "-q")
    call(root, "dvc", "config", "hydra.enabled", "true")
    call(root, "git", "add", ".")
    call(root, "git", "commit", "-q", "-m", "toy")
    return root


@pytest.fixture
def project(committed_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The committed toy, with parameters that a user has changed and not committed."""
    root = tmp_path / "project"
    shutil.copytree(committed_project, root)
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("missing_rate: 0.5", "missing_rate: 1"))
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(root)
    # A test before this one may have composed in this process: then every composition is checked as ours are, the toy's too.
    monkeypatch.setattr(Hydra, "compose_config", inspect.unwrap(Hydra.compose_config))
    return root


def state(root: Path) -> tuple[object, ...]:
    """Everything of the workspace that an ablation must not touch: files, index, HEAD, branches, stash."""
    commands = [("status", "--porcelain", "--branch"), ("diff", "HEAD"), ("stash", "list"), ("branch", "-a"),
             ("worktree", "list")]  # fmt: skip
    others = call(root, "git", "for-each-ref", "--format=%(refname)").splitlines()
    strays = [ref for ref in others if ref.startswith("refs/exps/") and len(ref.split("/")[2]) != 2]
    return (*(call(root, "git", *words) for words in commands), strays)


def ran(root: Path, stage: str) -> Counter[str]:
    """How often the stage ran, by arm and seed."""
    log = root / ".dvc/tmp/log"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return Counter(me for name, me in lines if name == stage)


def experiment_names(root: Path) -> list[str]:
    return sorted(call(root, "dvc", "exp", "list", "--name-only").split())


def start(root: Path, hold: str) -> tuple[subprocess.Popen[str], int]:
    """Start an ablation that is held in one experiment; return it and the number of the stage's process there."""
    (root / ".dvc/tmp").mkdir(exist_ok=True)
    (root / f".dvc/tmp/hold-{hold}").touch()
    process = subprocess.Popen(RUN, cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, start_new_session=True)  # fmt: skip
    end = time.monotonic() + 120
    while not ran(root, "fit")[hold]:
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < end, f"{hold} was never run"
        time.sleep(0.02)
    time.sleep(0.1)  # it writes its number
    return process, int(wait_for(root / ".dvc/tmp/pid"))


def release(root: Path) -> None:
    for path in (root / ".dvc/tmp").glob("hold-*"):
        path.unlink()


def test_every_arm_is_planned_with_every_seed_and_rates_only_where_modalities_are_hidden() -> None:
    planned = plan("avmnist", ["ump", "joint+mma"], [0, 1, 0], [0.25, 1.0, 0.250], ["fuse.lr=0.1"])
    rates = {"ump": [None], "joint+mma": ["fuse.missing_rate=0.25", "fuse.missing_rate=1.0"]}
    expected = [
        tuple(filter(None, ["dataset=avmnist", f"arm={arm}", f"seed={seed}", rate, "fuse.lr=0.1"]))
        for seed in (0, 1) for arm in rates for rate in rates[arm]
    ]  # fmt: skip
    assert [experiment.overrides for experiment in planned] == expected
    assert len({experiment.name for experiment in planned}) == len(planned) == 6


def test_without_rates_every_arm_is_planned_once_a_seed_under_a_plain_name() -> None:
    planned = plan("avmnist", list(CHOICES), [7], [], [])
    assert [experiment.name for experiment in planned] == [f"avmnist-{arm}-s7" for arm in CHOICES]
    assert all(not any("missing_rate" in override for override in experiment.overrides) for experiment in planned)


def test_settings_mark_the_name_whatever_their_order() -> None:
    plain, ordered, reordered, other = (
        plan("d", ["ump"], [0], [], settings)[0].name
        for settings in ([], ["a=1", "b=2"], ["b=2", "a=1"], ["a=1", "b=3"])
    )
    assert ordered == reordered
    assert len({plain, ordered, other}) == 3
    assert named("d", ["a=1", "b=2"]).removeprefix("d-") == ordered.removeprefix("d-ump-s0-")


@pytest.mark.parametrize(
    "name",
    ["avmnist-joint+mma-s0-r0.25", "a..b", "a...b", ".a", "-a", "a.lock", "a.", "a b~c^d:e?f*g[h\\i/j@{k", "größe"],
)
def test_names_are_made_legal_for_git(name: str, tmp_path: Path) -> None:
    made = legal(name)
    assert "/" not in made
    assert subprocess.run(["git", "check-ref-format", f"refs/exps/ab/cd/{made}"], check=False).returncode == 0
    assert legal(made) == made
    if name == "avmnist-joint+mma-s0-r0.25":
        assert made == name


@pytest.mark.parametrize(("arguments", "message"), [
    ((["upm"], [0], [], []), r"--arms: there is no arm called 'upm'; there are .*joint\+mma.*Did you mean 'ump'"),
    ((["ump"], [], [], []), "--seeds"),
    ((["ump"], [0], [0.5], []), "--rates: none of these arms hides modalities in training: ump"),
    ((["frozen"], [0], [25.0], []), "--rates: 25 is no missing rate"),
    ((["ump"], [0], [], ["seed=3"]), "--set seed=3"),
    ((["frozen"], [0], [0.5], ["fuse.missing_rate=0.1"]), "--set fuse.missing_rate=0.1"),
])  # fmt: skip
def test_what_cannot_be_planned_is_an_error_that_says_why(arguments: tuple[list[object], ...], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        plan("avmnist", *arguments)  # type: ignore[arg-type]


def test_the_table_has_a_row_per_arm_and_a_column_per_pattern() -> None:
    rows = score_rows({
        "ump": {"image+audio": {"accuracy": {"mean": 0.8652, "spread": 0.0021, "n": 3}, "utilisation": {}}},
        "ume-mma @ 0.25": {
            "image+audio": {"accuracy": {"mean": 0.9, "spread": None, "n": 1}},
            "audio": {"accuracy": {"mean": None, "spread": None, "n": 0}},
        },
    })  # fmt: skip
    assert [row["image+audio"] for row in rows] == ["86.5 ± 0.2 (3)", "90.0 (1)"]
    assert [row["audio"] for row in rows] == ["", ""]
    assert table(rows).splitlines()[2].split() == ["ume-mma", "@", "0.25", "90.0", "(1)"]


def test_the_table_is_of_micro_f1_where_samples_have_several_labels() -> None:
    metrics = {"accuracy": {"mean": 0.9, "spread": None, "n": 1}, "f1_micro": {"mean": 0.65, "spread": 0.01, "n": 3}}
    assert score({"ump": {"image": metrics}}) == ("f1_micro", "micro F1")
    assert score_rows({"ump": {"image": metrics}}) == [{"arm": "ump", "image": "65.0 ± 1.0 (3)"}]


def test_changed_code_is_refused_and_what_runs_write_is_not(project: Path) -> None:
    (project / "dvc.lock").write_text("schema: '2.0'\n")
    experiments = Experiments(project, call(project, "git", "rev-parse", "HEAD").strip())
    experiments.refuse_changes(project)
    (project / "step.py").write_text(STEP + "# changed\n")
    with pytest.raises(CodeChanged, match=r"step\.py.*would pass as done"):
        experiments.refuse_changes(project)
    call(project, "git", "commit", "-qam", "changed")
    with pytest.raises(CodeChanged, match="HEAD has moved"):
        experiments.refuse_changes(project)


def test_an_ablation_on_changed_code_does_not_start(project: Path) -> None:
    (project / "conf/config.yaml").write_text(CONFIG.replace("0.5", "0.6"))
    assert "conf/config.yaml" in call(project, *RUN, code=2)
    assert not (project / ".dvc/tmp/log").exists()


def test_an_override_that_does_not_fit_stops_before_anything_runs(project: Path) -> None:
    said = call(project, *RUN, "--set", "fuse.mising_rate=0.1", code=2)
    assert "no parameter called 'mising_rate'" in said
    assert "Did you mean 'missing_rate'" in said
    assert not (project / ".dvc/tmp/log").exists()


def test_the_stage_is_found_by_what_it_writes(project: Path) -> None:
    assert maker(project, Path("data/reports/report.html")) == "weigh"
    with pytest.raises(UmemmaError, match="no stage writes data/none"):
        maker(project, Path("data/none"))


def test_an_experiment_of_the_same_name_from_other_parameters_does_not_pass_as_done(project: Path) -> None:
    experiments = Experiments(project, call(project, "git", "rev-parse", "HEAD").strip())
    wanted = experiments.parameters(["arm=ump"])
    assert not experiments.holds("mine", wanted)
    with experiment(project, ["arm=ump"], "mine", print) as here:
        experiments.keep(here, "mine")
    assert experiments.holds("mine", wanted)
    with pytest.raises(UmemmaError, match=r"mine.*made with another params\.yaml"):
        experiments.holds("mine", experiments.parameters(["arm=uni"]))
    experiments.remove("mine")
    (project / "step.py").write_text(STEP + "# changed\n")
    with experiment(project, ["arm=ump"], "mine", print) as here:
        experiments.keep(here, "mine")
    with pytest.raises(UmemmaError, match=r"mine.*made with another step\.py"):
        experiments.holds("mine", wanted)


@pytest.mark.slow
def test_a_kept_experiment_is_one_to_dvc_and_a_name_is_kept_once(project: Path) -> None:
    before = state(project)
    experiments = Experiments(project, call(project, "git", "rev-parse", "HEAD").strip())
    name = "small-joint+mma-s0-r0.25"
    with experiment(project, ["arm=joint+mma"], name, print) as here:
        call(here.root, "dvc", "repro", "-q", "weigh")
        experiments.keep(here, name)
        with pytest.raises(UmemmaError, match="update-ref"):
            experiments.keep(here, name)
    assert state(project) == before
    assert experiment_names(project) == [name]
    shown = json.loads(call(project, "dvc", "exp", "show", "--json"))
    revisions = [kept_experiment["revs"][0] for rev in shown for kept_experiment in rev["experiments"] or []]
    assert [revision["name"] for revision in revisions] == [name]
    listed = call(project, sys.executable, "-m", "flows.experiments_table").splitlines()
    assert listed[-2].split() == ["workspace", "frozen", "dataset=x"]
    assert listed[-1].split() == [name, "joint+mma", *["14.0"] * 3, "dataset=small"]
    assert revisions[0]["data"]["params"]["params.yaml"]["data"]["arm"] == "joint+mma"
    assert revisions[0]["data"]["outs"]["data/predictions"]["hash"]
    experiments.fetch(name, PREDICTIONS, project / "got")
    assert json.loads((project / "got").read_text())["arm"] == "joint+mma"
    (project / "got").unlink()
    shutil.rmtree(project / ".dvc/cache")
    with pytest.raises(UmemmaError, match=r"model\.safetensors is not in DVC's cache"):
        experiments.fetch(name, PREDICTIONS, project / "got")
    assert not (project / "got").exists()
    call(project, "dvc", "exp", "remove", name)
    assert experiment_names(project) == []


@pytest.mark.slow
def test_a_whole_ablation_and_a_second_one_that_runs_nothing(project: Path) -> None:
    before = state(project)
    said = call(project, *RUN)
    assert experiment_names(project) == sorted([*NAMES, "ablation-small"])
    assert ran(project, "fit") == {"ump-0": 1, "ump-1": 1, "ume-mma-0": 1, "ume-mma-1": 1}
    assert sum(ran(project, "towers").values()) == 2  # one a seed, the second arm has it from the cache
    assert not ran(project, "gate")
    assert state(project) == before
    assert [line.split()[:2] for line in said.splitlines() if line.startswith("[")] == [
        [f"[{number}/4]", name] for number, name in enumerate(NAMES, start=1)
    ]
    numbers = json.loads((project / "data/reports/ablation/small/arms.json").read_text())
    assert numbers["ump @ 0.5"]["image+audio"]["accuracy"]["n"] == 2
    assert "of ume-mma-0" in (project / "data/reports/ablation/small/report.html").read_text()
    assert "9.0 ± 1.4 (2)" in said  # 3 letters, seeds 0 and 1, rate 0.5: 0.08 and 0.10
    assert "13.0 ± 1.4 (2)" in said
    again = call(project, *RUN)
    assert "4 of them there already" in again
    assert sum(ran(project, "fit").values()) == 4
    assert state(project) == before
    more = call(project, *RUN, "--rates", "0.5", "1")  # for ume-mma alone; 0.5 is in the cache
    assert "6 experiments, 2 of them there already" in more
    assert ran(project, "fit") == {"ump-0": 1, "ump-1": 1, "ume-mma-0": 2, "ume-mma-1": 2}
    assert "ume-mma @ 1.0" in more
    call(project, *RUN, "--arms", "ump", "--seeds", "0", "--force")
    assert ran(project, "fit")["ump-0"] == 2


@pytest.mark.slow
def test_an_ablation_that_was_killed_goes_on_where_it_was(project: Path) -> None:
    before = state(project)
    process, stage = start(project, "ump-1")
    assert experiment_names(project) == sorted(NAMES[:2])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert is_gone(stage)
    release(project)
    said = call(project, *RUN)
    assert "4 experiments, 2 of them there already" in said
    assert ran(project, "fit") == {"ump-0": 1, "ume-mma-0": 1, "ump-1": 2, "ume-mma-1": 1}
    assert experiment_names(project) == sorted([*NAMES, "ablation-small"])
    assert nothing_left(project)
    assert state(project) == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_stage_at_once_and_clears_up(project: Path, number: signal.Signals) -> None:
    before = state(project)
    process, stage = start(project, "ump-0")
    os.kill(process.pid, number)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert is_gone(stage, seconds=1)
    assert "Traceback" not in said
    assert nothing_left(project)
    assert state(project) == before
    assert experiment_names(project) == []


@pytest.mark.slow
def test_one_that_fails_is_named_and_the_others_go_on(project: Path) -> None:
    before = state(project)
    said = call(project, *RUN, "--set", "fuse.broken=ump", "--jobs", "2", code=1)
    names = experiment_names(project)
    mark = names[0].removeprefix("ablation-small-")
    assert names[1:] == [f"small-ume-mma-s0-{mark}", f"small-ume-mma-s1-{mark}"]
    assert (project / f"data/reports/ablation/small-{mark}/report.html").exists()
    assert said.count("failed after") == 2
    assert said.count("missing: small-ump-s") == 2
    assert "ERROR: no such head" in said
    assert "13.0 ± 1.4 (2)" in said
    assert "2 of 4 experiments are missing" in said
    assert nothing_left(project)
    assert state(project) == before


@pytest.mark.slow
def test_one_that_cannot_be_kept_is_named_and_the_others_go_on(project: Path) -> None:
    process, _ = start(project, "ump-0")
    baseline = call(project, "git", "rev-parse", "HEAD").strip()
    call(project, "git", "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/small-ump-s0", baseline)
    release(project)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "missing: small-ump-s0: git update-ref" in said
    assert experiment_names(project) == sorted([*NAMES, "ablation-small"])
    assert nothing_left(project)


@pytest.mark.slow
def test_code_that_changes_while_it_runs_ends_the_ablation(project: Path) -> None:
    process, _ = start(project, "ump-0")
    with subprocess.Popen(
        RUN, cwd=project, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as second:
        assert second.stdout is not None
        said = second.stdout.readline()
        assert said.startswith(f"waiting for an ablation of small (process {process.pid}, since "), said
        second.terminate()
        assert second.wait(10) == 128 + signal.SIGTERM
        assert second.stdout.read().splitlines() == [
            "stopped; complete experiments are kept, and the same command resumes from there"
        ]
    (project / "step.py").write_text(STEP + "# changed\n")
    release(project)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "step.py" in said
    assert experiment_names(project) == ["small-ump-s0"]  # made from the worktree it had
    revision = Experiments(project, call(project, "git", "rev-parse", "HEAD").strip()).revision("small-ump-s0")
    assert "# changed" not in call(project, "git", "show", f"{revision}:step.py")
    assert nothing_left(project)


@pytest.mark.slow
def test_the_deployment_sweeps_as_the_command_does_and_runs_nothing_that_is_in_a_parameter(project: Path) -> None:
    add_flows(project)
    with open(project / ".git/info/exclude", "a") as exclude:
        exclude.write("/flows\n/umemma\n/prefect.yaml\n/prefect.toml\n/.prefect/\n")
    server = (sys.executable, "-m", "flows.server")
    deployment = ("prefect", "deployment", "run", "sweep/local", "--watch", "-p", "seeds=[0]", "-p")
    call(project, "env", f"UMEMMA_PREFECT_PORT={free_port()}", *server, "up")
    try:
        for hostile in (
            ("dataset=small;touch F",),
            ("dataset=small", "-p", 'arms=["$(touch F)"]'),
            ("dataset=small", "-p", 'settings=["fuse.broken=`touch F`"]', "-p", 'arms=["ump"]', "-p", "jobs=0"),
            ("dataset=small", "-p", 'settings=["hydra.run.dir=F"]'),
        ):
            assert "Flow run finished in state 'Failed'" in call(project, *deployment, *hostile, code=1)
        assert not list(project.rglob("F"))
        assert not experiment_names(project)
        said = " ".join(call(project, *deployment, "dataset=small", "-p", 'arms=["ump", "ume-mma"]').split())
        assert experiment_names(project) == sorted(["small-ump-s0", "small-ume-mma-s0", "ablation-small"])
        assert "arm image+audio ume-mma @ 0.5 12.0 (1) ump @ 0.5 8.0 (1)" in said, said
        flow_run, _ = last_run(project)
        assert (flow_run["name"], flow_run["state"]["type"]) == ("sweep-small", "COMPLETED")
        states = {run["name"]: run["state"]["type"] for run in api(project, "task_runs/filter", {})}
        assert states["small-ump-s0"] == states["small-ume-mma-s0"] == "COMPLETED"
    finally:
        call(project, *server, "down")
