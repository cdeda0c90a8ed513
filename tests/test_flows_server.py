"""Whole runs of the flow on a toy project, with its own Prefect server on a free port, and without a server."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.turn import gpu
from tests.test_flows import REPOSITORY, call, environment, is_gone, make_toy, nothing_left, set_params, wait_for
from tests.test_page_browser import browser  # noqa: F401

pytestmark = pytest.mark.slow
RUN = ("prefect", "deployment", "run", "ume-mma/local", "--watch")
PYTHON = sys.executable


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def add_flows(root: Path) -> None:
    """Add what a deployment's entrypoint and its imports need."""
    for name in ("flows", "umemma"):
        (root / name).symlink_to(REPOSITORY / name)
    shutil.copy(REPOSITORY / "prefect.yaml", root)


def make_project(root: Path) -> Path:
    """Make the toy with the flows in it, run once by DVC."""
    root.mkdir()
    add_flows(root)
    make_toy(root)
    call(root, "dvc", "repro", "-q")
    call(root, "git", "add", ".")
    call(root, "git", "commit", "-q", "-m", "lock")
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = make_project(tmp_path_factory.mktemp("server") / "project")
    port = free_port()
    call(root, "env", f"UMEMMA_PREFECT_PORT={port}", PYTHON, "-m", "flows.server", "up")
    yield root
    call(root, PYTHON, "-m", "flows.server", "down")


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give every test the committed toy, and check afterwards that nothing is left behind."""
    if "project" not in request.fixturenames:
        yield
        return
    root = request.getfixturevalue("project")
    call(root, "git", "checkout", "-q", ".")
    call(root, "dvc", "repro", "-q")
    for name in ("tries", "pid"):
        (root / ".dvc" / "tmp" / name).unlink(missing_ok=True)
    yield
    assert nothing_left(root)
    assert not list((root / ".prefect" / "runs").iterdir())


def api(project: Path, path: str, body: Any = None, method: str = "POST") -> Any:
    """Ask the server; where its database is busy it answers 503, and Prefect's own client asks again, too."""
    password, tries = (project / ".prefect" / "auth").read_text(), 5
    while True:
        try:
            with send(project, path, body, method, password) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            tries -= 1
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or not tries:
                raise
            time.sleep(1)


def send(project: Path, path: str, body: Any, method: str, password: str | None, **headers: str) -> Any:
    """Send a request to the server; raises urllib.error.HTTPError unless it succeeds."""
    url = (project / "prefect.toml").read_text().split('url = "')[1].split('"')[0]
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
    content = None if body is None else json.dumps(body).encode()
    headers |= {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/{path}", content, headers, method=method)
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)


def last_run(project: Path) -> tuple[Any, dict[str, str]]:
    """Return the newest flow run and the state name of each of its tasks."""
    flow_run = api(project, "flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1})[0]
    wanted = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    end = time.monotonic() + 10  # the states of tasks reach the server as events
    while True:
        states = {run["name"]: run["state"]["name"] for run in api(project, "task_runs/filter", wanted)}
        if (len(states) == 5 and not {"Pending", "Running"} & set(states.values())) or time.monotonic() > end:
            return flow_run, states
        time.sleep(0.3)


def lock(root: Path) -> Any:
    return yaml.safe_load((root / "dvc.lock").read_text())


def test_up_twice_says_so_and_status_agrees(project: Path) -> None:
    assert "up already" in call(project, PYTHON, "-m", "flows.server", "up")
    lines = dict(line.split(maxsplit=1) for line in call(project, PYTHON, "-m", "flows.server", "status").splitlines())
    assert lines["server"].startswith("process ")
    assert lines["worker"].startswith("process ")
    assert lines["API"] in (project / "prefect.toml").read_text()
    assert (lines["workspace"], lines["GPU"]) == ("free", "free")


def refusal(*request: Any) -> int | None:
    """Return the status code with which the server refuses the request, or None where it accepts."""
    try:
        send(*request).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return None


REQUESTS = [
    ("GET", "admin/version", None),
    ("POST", "flow_runs/filter", {}),
    ("POST", "deployments/filter", {}),
    ("POST", "deployments/", {"name": "x", "pull_steps": [{"prefect.deployments.steps.run_shell_script": {}}]}),
    ("PATCH", "work_pools/local", {"base_job_template": {}}),
    ("GET", "work_pools/local/", None),
]


def test_the_server_answers_nobody_without_its_password(project: Path) -> None:
    for password in (None, "", "umemma:", "admin:pass"):
        for method, path, body in REQUESTS:
            assert refusal(project, path, body, method, password) == 401, (password, path)


def test_a_page_from_elsewhere_is_not_shown_what_the_server_answers(project: Path) -> None:
    own_origin = (project / "prefect.toml").read_text().split('url = "')[1].split('/api"')[0]
    password = (project / ".prefect" / "auth").read_text()
    for origin, allowed in (
        ("https://example.org", None),
        ("null", None),
        ("http://127.0.0.1:1", None),
        (own_origin, own_origin),
    ):
        with send(project, "health", None, "GET", password, Origin=origin) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == allowed


def test_the_server_listens_on_this_machine_only(project: Path) -> None:
    listening = []
    for name in ("server", "worker"):
        process = psutil.Process(json.loads((project / ".prefect" / "pids" / f"{name}.json").read_text())["pid"])
        for running in [process, *process.children(recursive=True)]:
            listening += [at.laddr.ip for at in running.net_connections() if at.status == psutil.CONN_LISTEN]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_the_password_is_for_its_owner_alone_and_not_for_git(project: Path) -> None:
    password = (project / ".prefect" / "auth").read_text()
    assert len(password) > 40
    assert password in (project / "prefect.toml").read_text()
    for name in (".prefect/auth", "prefect.toml"):
        assert (project / name).stat().st_mode & 0o777 == 0o600
        assert call(project, "git", "check-ignore", name)
        assert call(REPOSITORY, "git", "check-ignore", name)
    logs = "".join(path.read_text() for path in (project / ".prefect" / "logs").iterdir())
    assert password not in logs
    assert password.partition(":")[2] not in logs
    assert "cat .prefect/auth" in call(project, PYTHON, "-m", "flows.server", "up")


HOW = ({"command": "touch F"}, {"env": {"PATH": "/tmp"}}, {"working_dir": "/tmp"}, {"env.PATH": "/tmp"})
STARTED = """
import asyncio, sys
from prefect.workers.process import ProcessJobConfiguration
from flows.records import JOB_TEMPLATE
for how in {how}:
    made = asyncio.run(ProcessJobConfiguration.from_template_and_values(JOB_TEMPLATE, how))
    assert (made.command, made.env, made.working_dir) == (None, {{}}, None), made
print("as ever")
"""


def test_a_run_cannot_say_how_it_is_started(project: Path) -> None:
    deployment = next(one for one in api(project, "deployments/filter", {}) if "flow.py" in one["entrypoint"])
    password = (project / ".prefect" / "auth").read_text()
    flow = {"name": "mine", "flow_id": deployment["flow_id"], "work_pool_name": "local"}
    for how in HOW:
        for path, body in ((f"deployments/{deployment['id']}/create_flow_run", {}), ("deployments/", flow)):
            code = refusal(project, path, {**body, "job_variables": how}, "POST", password)
            assert code in (409, 422), (how, path)
    assert "as ever" in call(project, PYTHON, "-c", STARTED.format(how=HOW))


def test_an_override_through_the_deployment_changes_no_other_file(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text("key: old\n")
    call(project, *RUN, "-p", f'overrides=["{outside}:key=new"]', code=1)
    assert "is not params.yaml" in last_run(project)[0]["state"]["message"]
    assert outside.read_text() == "key: old\n"


def test_the_page_asks_for_the_password_and_then_shows_the_runs(project: Path, browser: Any) -> None:  # noqa: F811
    url = (project / "prefect.toml").read_text().split('url = "')[1].split('/api"')[0]
    call(project, PYTHON, "-m", "flows.pipeline")
    page = browser.new_page()
    page.goto(f"{url}/runs")
    field = page.locator("input[type=password]")
    field.fill((project / ".prefect" / "auth").read_text().strip())
    field.press("Enter")
    page.get_by_text(last_run(project)[0]["name"]).first.wait_for(timeout=30_000)
    page.close()


def test_an_unchanged_pipeline_is_all_cached(project: Path) -> None:
    call(project, PYTHON, "-m", "flows.pipeline")
    flow_run, states = last_run(project)
    assert flow_run["state"]["type"] == "COMPLETED"
    assert set(states.values()) == {"Cached"}
    assert api(project, "artifacts/filter", {})[0]["key"] == "robustness"


def test_the_lock_is_the_one_dvc_repro_writes(project: Path) -> None:
    set_params(project, "fuse", rate=0.9)
    call(project, PYTHON, "-m", "flows.pipeline")
    by_flow = lock(project)
    assert last_run(project)[1] == {
        "prepare": "Cached", "train@image": "Cached", "train@audio": "Cached",
        "fuse": "Completed", "report": "Completed",
    }  # fmt: skip
    call(project, "git", "checkout", "-q", "dvc.lock")
    call(project, "dvc", "repro", "-q")
    assert lock(project) == by_flow


def test_going_back_is_restored_and_what_follows_looks_again(project: Path) -> None:
    call(project, "git", "checkout", "-q", "params.yaml")
    set_params(project, "fuse", rate=0.8)
    call(project, PYTHON, "-m", "flows.pipeline")
    call(project, "git", "checkout", "-q", "params.yaml")
    call(project, PYTHON, "-m", "flows.pipeline")
    assert last_run(project)[1]["fuse"] == "Cached"
    assert '"rate": 0.5' in (project / "data" / "model.txt").read_text()
    assert (
        json.loads((project / "data/reports/robustness.json").read_text())["patterns"]["image+audio"]["accuracy"] == 0.5
    )


def test_a_stage_is_tried_again_as_its_meta_says(project: Path) -> None:
    set_params(project, "fuse", failures=1)
    call(project, PYTHON, "-m", "flows.pipeline")
    assert last_run(project)[1]["fuse"] == "Completed"


def test_a_failed_stage_shows_its_last_lines_and_holds_up_what_follows(project: Path) -> None:
    set_params(project, "fuse", failures=9)
    printed = call(project, PYTHON, "-m", "flows.pipeline", code=1)
    assert "no such head" in printed.split("ERROR: fuse failed")[-1]
    flow_run, states = last_run(project)
    assert flow_run["state"]["type"] == "FAILED"
    waiting = next(name for name in states if name.startswith("report"))  # renamed only when it starts
    assert (states["fuse"], states[waiting]) == ("Failed", "NotReady")


def test_the_deployment_runs_beside_the_workspace(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    said = call(project, *RUN, "-p", 'overrides=["fuse.rate=0.25", "data=large"]', "-p", "name=beside")
    assert "beside" in call(project, "dvc", "exp", "list")
    assert (project / "params.yaml").read_text() == before
    flow_run, _ = last_run(project)
    assert (flow_run["name"], flow_run["state"]["type"]) == ("beside", "COMPLETED")
    words = " ".join(said.split())  # lines are as wide as the terminal
    last = words[words.index("Results of large, trained as a, seed 0") :]
    assert "image+audio 5 0.25" in last
    assert "`dvc exp apply beside` brings its files here" in last
    assert "MLflow: run beside of experiment large" in last
    last = call(project, PYTHON, "-m", "flows.server", "status").splitlines()[-1]
    assert re.fullmatch(r"last run +beside: Completed at [\d:]+ \(5 stages, \d of them cached\)", last), last


def test_the_deployment_runs_in_the_workspace_without_overrides(project: Path) -> None:
    set_params(project, "fuse", rate=0.7)
    assert (project / "data/reports/report.html").as_uri() in call(project, *RUN).replace("\n", "")
    assert '"rate": 0.7' in (project / "data" / "model.txt").read_text()


def test_a_misspelt_override_fails_the_run_and_names_the_key(project: Path) -> None:
    said = call(project, *RUN, "-p", 'overrides=["fuse.rte=1"]', code=1)
    assert "no parameter called 'rte'" in " ".join(said.split())
    assert "Traceback" not in said
    assert "'rte'" in last_run(project)[0]["state"]["message"]
    assert "'rte'" in call(project, PYTHON, "-m", "flows.pipeline", "-S", "fuse.rte=1", code=2)


def start_run(project: Path, *, seconds: int) -> int:
    """Start a deployment run whose stage `fuse` takes so long; return the stage's process."""
    (project / ".dvc" / "tmp" / "pid").unlink(missing_ok=True)
    call(project, *RUN[:-1], "-p", f'overrides=["fuse.seconds={seconds}"]')
    return int(wait_for(project / ".dvc" / "tmp" / "pid"))


def start_slow_run(project: Path) -> tuple[str, int, int]:
    """Start a deployment run that stays in one stage; return its id and the processes of the flow and the stage."""
    stage = start_run(project, seconds=300)
    note = next((project / ".prefect" / "runs").glob("*.json"))
    return note.stem, json.loads(note.read_text())["pid"], stage


def test_cancelling_ends_the_stage_at_once(project: Path) -> None:
    run, flow, stage = start_slow_run(project)
    said = call(project, PYTHON, "-m", "flows.server", "status")
    assert re.search(r"running +\S+ since [\d:]+: fuse since [\d:]+\n", said), said
    assert re.search(rf"GPU +fuse of \S+ \(process {flow}, since [\d:]+\)\n", said), said
    call(project, "prefect", "flow-run", "cancel", run)
    start = time.monotonic()
    assert is_gone(stage, 15)
    assert is_gone(flow, 15)
    assert time.monotonic() - start < 15
    assert state_of(project, "CANCELLED")["state"]["message"].startswith("stopped; ")
    assert last_run(project)[1]["fuse"] == "Cancelled"
    assert gpu(project).holder() is None


def test_a_run_outlives_its_worker_though_nobody_reads_its_output(project: Path) -> None:
    start_run(project, seconds=4)
    os.kill(json.loads((project / ".prefect" / "pids" / "worker.json").read_text())["pid"], signal.SIGKILL)
    try:
        state_of(project, "COMPLETED", seconds=120)
        assert last_run(project)[1]["fuse"] == "Completed"
    finally:
        call(project, PYTHON, "-m", "flows.server", "up")


def state_of(project: Path, wanted: str, seconds: float = 20) -> Any:
    """Wait for the newest flow run to be in this state; return it."""
    end = time.monotonic() + seconds
    while (flow_run := last_run(project)[0])["state"]["type"] != wanted and time.monotonic() < end:
        time.sleep(0.2)
    assert flow_run["state"]["type"] == wanted
    return flow_run


@contextmanager
def typed(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the flow as if typed in a terminal."""
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a CI in the background may have it ignored
    with subprocess.Popen(
        [PYTHON, "-m", "flows.pipeline", *arguments],
        cwd=project,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=listening,  # noqa: PLW1509
    ) as process:
        try:
            yield process
        finally:
            process.kill()


STOPPED = "stopped; finished stages are kept, and the same command goes on from there"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_soon_with_one_line(project: Path, number: signal.Signals) -> None:
    with typed(project, "-S", "fuse.seconds=300") as process:
        stage = int(wait_for(project / ".dvc" / "tmp" / "pid"))
        start = time.monotonic()
        os.killpg(process.pid, number)  # as a terminal does
        said, _ = process.communicate(timeout=60)
        assert time.monotonic() - start < 8  # seconds on a busy machine; 2 on a quiet one
        assert is_gone(stage)
        assert process.returncode == 128 + number
    lines = said.splitlines()
    assert lines[-1] == STOPPED
    assert "hello from fuse" in lines[-2]
    state_of(project, "CANCELLED")
    assert gpu(project).holder() is None


def test_the_second_run_waits_for_the_first_and_says_for_whom(project: Path) -> None:
    set_params(project, "fuse", seconds=8)
    with typed(project) as first:
        wait_for(project / ".dvc" / "tmp" / "pid")
        with typed(project) as second:
            said, _ = second.communicate(timeout=120)
            assert second.returncode == 0, said
            assert first.wait(1) == 0
    assert re.search(rf"waiting for the flow run [\w-]+ \(process {first.pid}, since [\d:]+\)\n", said), said
    assert "5 stages, 5 of them cached" in said


def test_killing_the_flow_ends_the_stage(project: Path) -> None:
    run, flow, stage = start_slow_run(project)
    os.kill(flow, signal.SIGKILL)
    assert is_gone(stage)
    end = time.monotonic() + 10  # DVC, which has the turn's file open, ends just after its stage
    while gpu(project).holder() is not None and time.monotonic() < end:
        time.sleep(0.05)
    assert gpu(project).holder() is None
    state_of(project, "CRASHED")
    call(project, PYTHON, "-m", "flows.pipeline", "--name", "after-kill", "prepare")  # and it tidies up
    unfinished = {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}
    assert not api(project, "flow_runs/count", {"flow_runs": unfinished})
    wanted = {"flow_runs": {"id": {"any_": [run]}}, "task_runs": unfinished}
    assert not api(project, "task_runs/count", wanted)


def test_without_a_server_the_run_has_one_of_its_own(tmp_path: Path) -> None:
    root = make_project(tmp_path / "alone")
    (root / "prefect.toml").write_text(  # left by a crash
        f'# Written by `python -m flows.server up`, removed by `down`.\n[api]\nurl = "http://127.0.0.1:{free_port()}/api"\n'
    )
    set_params(root, "fuse", rate=0.7)
    assert "5 stages, 3 of them cached" in call(root, PYTHON, "-m", "flows.pipeline")
    assert not (root / "prefect.toml").exists()
    assert "down already" in call(root, PYTHON, "-m", "flows.server", "down")


def test_a_taken_port_is_an_error_that_says_how_to_choose_another(tmp_path: Path) -> None:
    root = tmp_path / "taken"
    root.mkdir()
    make_toy(root)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        printed = call(root, "env", f"UMEMMA_PREFECT_PORT={port}", PYTHON, "-m", "flows.server", "up", code=2)
    assert f"port {port}" in printed
    assert "UMEMMA_PREFECT_PORT" in printed


def test_down_ends_a_run_and_up_puts_in_order_what_was_killed_and_what_was_missed(tmp_path: Path) -> None:
    root = make_project(tmp_path / "dead")
    port = f"UMEMMA_PREFECT_PORT={free_port()}"
    up = ("env", port, PYTHON, "-m", "flows.server", "up")
    call(root, *up)
    try:
        call(root, "prefect", "deployment", "schedule", "create", "ume-mma/local", "--cron", "0 6 * * *")
        _, flow, stage = start_slow_run(root)
        worker, server = (
            json.loads((root / ".prefect" / "pids" / f"{name}.json").read_text())["pid"]
            for name in ("worker", "server")
        )
        open_template = {
            "job_configuration": {"command": "{{ command }}"},
            "variables": {"properties": {"command": {"type": "string"}}, "type": "object"},
        }
        api(root, "work_pools/local", {"base_job_template": open_template}, "PATCH")  # as an earlier version made it
        plan_missed_runs(root)
        for pid in (worker, server, flow):
            os.kill(pid, signal.SIGKILL)
        assert is_gone(stage)
        assert "3 runs of a schedule were missed" in call(root, *up)
        states = [run["state"]["name"] for run in api(root, "flow_runs/filter", {"limit": 50})]
        assert states.count("Crashed") == 1
        assert states.count("Missed") == 2
        assert "{{" not in json.dumps(api(root, "work_pools/local", method="GET")["base_job_template"])
        assert re.search(
            r"schedule +ume-mma/local: 0 6 \* \* \* UTC\n", call(root, PYTHON, "-m", "flows.server", "status")
        )

        _, flow, stage = start_slow_run(root)
        start = time.monotonic()
        call(root, PYTHON, "-m", "flows.server", "down")
        assert time.monotonic() - start < 20  # seconds on a busy machine; 5 on a quiet one
        assert is_gone(stage, 0.1)
        assert is_gone(flow, 0.1)
        call(root, *up)
        state_of(root, "CANCELLED")
    finally:
        call(root, PYTHON, "-m", "flows.server", "down")
    assert not (root / "prefect.toml").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port.partition("=")[2]))) != 0


def plan_missed_runs(root: Path) -> None:
    """Move the next three runs of the schedule into the past."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    end = time.monotonic() + 60
    while len(planned := api(root, "flow_runs/filter", wanted)) < 3 and time.monotonic() < end:
        time.sleep(0.5)
    with sqlite3.connect(root / ".prefect/home/prefect.db", timeout=20) as database:
        for hour, run in enumerate(planned[:3]):
            database.execute(
                "UPDATE flow_run SET next_scheduled_start_time = ?, expected_start_time = ? WHERE id = ?",
                [*2 * [f"2026-01-01 0{hour}:00:00.000000"], run["id"]],
            )


def server_sizes(project: Path) -> tuple[int, int, int]:
    """Return the server's memory, its descriptors and connections, and the size of its database."""
    process = psutil.Process(json.loads((project / ".prefect" / "pids" / "server.json").read_text())["pid"])
    every = [process, *process.children(recursive=True)]
    database = sum(path.stat().st_size for path in (project / ".prefect" / "home").glob("prefect.db*"))
    return sum(one.memory_info().rss for one in every), sum(one.num_fds() for one in every), database


def test_runs_leave_the_server_as_it_was_and_prune_removes_them(project: Path) -> None:
    for _ in range(2):
        call(project, PYTHON, "-m", "flows.pipeline")
    memory, descriptors, database = server_sizes(project)
    runs = 4
    for _ in range(runs):
        call(project, PYTHON, "-m", "flows.pipeline")
    grown = [
        after - before for after, before in zip(server_sizes(project), (memory, descriptors, database), strict=True)
    ]
    print(f"a run adds {grown[0] / runs / 1024:.0f} KiB of memory, {grown[2] / runs / 1024:.0f} KiB of database")
    assert grown[0] / runs < 5 * 2**20
    assert grown[1] <= 3, "connections that are kept open come and go"
    assert grown[2] / runs < 2**20

    before = len(api(project, "flow_runs/filter", {"limit": 200}))
    assert before >= 2 + runs
    said = call(project, PYTHON, "-m", "flows.prune", "--days", "1")
    assert "runs in Prefect that have ended: 0\n" in said
    said = call(project, PYTHON, "-m", "flows.prune", "--days", "0", "--yes")
    assert f"runs in Prefect that have ended: {before}\n" in said
    assert said.splitlines()[-1].endswith("freed")
    assert api(project, "flow_runs/filter", {"limit": 200}) == []
    assert api(project, "task_runs/filter", {"limit": 200}) == []
