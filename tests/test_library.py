"""The library by itself: from any folder, in its own environment, without repository or orchestrator."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from torch import nn

import umemma
from tests.conftest import ROOT
from umemma.data.batch import Batch
from umemma.errors import DataError, SettingError
from umemma.models import checkpoint, unimodal
from umemma.models.given_encoder import GivenEncoder

EXAMPLE = ROOT / "examples/late_fusion.py"
OF_THE_PIPELINE = {  # the last proposes the pipeline's commands, for its report
    "umemma/__main__.py",
    "umemma/parameters.py",
    "umemma/composition.py",
    "umemma/reporting/next_step.py",
}
ROW = re.compile(r"(left\+right|left|right) +accuracy (\d\.\d{3})  cross-entropy (\d\.\d{3})")


def python(folder: Path, *arguments: str, executable: str = sys.executable, **environment: str):
    return subprocess.run(
        [executable, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def check_example(done: subprocess.CompletedProcess[str]) -> None:
    """Both modalities determine the class, either alone for two thirds of the samples, as the example's data are made."""
    assert done.returncode == 0, done.stderr
    rows = [ROW.fullmatch(line) for line in done.stdout.splitlines()[-3:]]
    accuracy = {row[1]: float(row[2]) for row in rows if row}
    assert list(accuracy) == ["left+right", "left", "right"], done.stdout
    assert accuracy["left+right"] > 0.9
    assert 0.55 < accuracy["left"] < 0.8
    assert 0.55 < accuracy["right"] < 0.8


def test_the_example_runs_from_any_folder(tmp_path):
    shutil.copy(EXAMPLE, tmp_path)
    check_example(python(tmp_path, EXAMPLE.name))
    assert [path.name for path in tmp_path.iterdir()] == [EXAMPLE.name], "nothing is left behind"


@pytest.mark.slow
def test_the_example_runs_in_an_environment_that_holds_nothing_but_the_library(tmp_path):
    uv = str(ROOT / ".tools/bin/uv")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "env"], check=True)
    executable = str(tmp_path / "env/bin/python")
    subprocess.run([uv, "pip", "install", "-q", "--python", executable, str(ROOT)], check=True)
    shutil.copy(EXAMPLE, tmp_path)
    check_example(python(tmp_path, EXAMPLE.name, executable=executable))
    where = python(tmp_path, "-c", "import umemma; print(umemma.__file__, umemma.__version__)", executable=executable)
    assert str(tmp_path / "env") in where.stdout, where.stderr
    assert list((tmp_path / "env/lib").rglob("umemma/reporting/page.html")), "what is no Python is installed too"
    assert not list((tmp_path / "env/lib").rglob("stages/__init__.py"))
    command = python(tmp_path, "init", "table.csv", executable=str(tmp_path / "env/bin/umemma"))
    assert (command.returncode, command.stdout) == (2, "")
    assert re.match(r"ERROR: `umemma init` reads tables and media, and \w+ is not installed: pip", command.stderr)


def test_the_readme_and_the_documentation_show_the_example_as_it_is():
    assert f"```python\n{EXAMPLE.read_text()}```\n" in (ROOT / "README.md").read_text()
    assert "literalinclude} ../examples/late_fusion.py" in (ROOT / "docs/library.md").read_text()
    assert len(EXAMPLE.read_text().splitlines()) <= 25


def test_importing_the_library_loads_no_tool_of_the_pipeline_and_takes_a_moment():
    program = (
        "import sys, time; start = time.perf_counter(); import umemma; seconds = time.perf_counter() - start\n"
        "alone = set(sys.modules); [getattr(umemma, name) for name in umemma.__all__]\n"
        "print(seconds, 'torch' in alone, 'torch' in sys.modules, *{name.split('.')[0] for name in sys.modules})"
    )
    seconds, torch_alone, torch_after, *loaded = python(ROOT, "-c", program).stdout.split()
    assert float(seconds) < 0.3
    assert (torch_alone, torch_after) == ("False", "True")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {re.split(r"[<>=\[]", entry)[0] for extra in ("data", "report", "pipeline") for entry in extras[extra]}
    modules = {"great-expectations": "great_expectations", "hydra-core": "hydra", "scikit-learn": "sklearn"}
    modules |= {"pillow": "PIL", "ruamel.yaml": "ruamel"}
    assert not {modules.get(name, name) for name in names - {"umemma"}} & set(loaded)


def test_what_the_library_offers_is_there_and_nothing_else():
    for name in umemma.__all__:
        assert getattr(umemma, name).__doc__
    assert re.fullmatch(r"\d+\.\d+\.\d+", umemma.__version__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = umemma.nothing


def texts(path: Path) -> list[str]:
    """Return the strings of a file that a user may see: all but docstrings."""
    tree = ast.parse(path.read_text())
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described
    ]


def test_no_message_of_the_library_names_the_orchestrator_or_a_file_of_the_repository():
    named = re.compile(r"\bdvc\b|`make\b|\bstages?\b|params\.yaml|\bconf/", re.IGNORECASE)
    assert named.search("`dvc repro` makes it again")
    for path in (ROOT / "umemma").rglob("*.py"):
        name = str(path.relative_to(ROOT))
        if name not in OF_THE_PIPELINE and not name.startswith(("umemma/init/", "umemma/tracking/")):
            assert not [text for text in texts(path) if named.search(text)], name


class Words(nn.Module):
    """An encoder of word ids, which must not be scaled on the way."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.linear = nn.Linear(4, 3)

    def forward(self, value):
        return self.linear(self.embedding(value).mean(dim=1))


@pytest.fixture
def data():
    """Three classes; `word` is ids, `vector` numbers; a third of the samples lacks the vector, whose rows are NaN."""
    torch.manual_seed(0)
    label = torch.arange(90) % 3
    vector = torch.randn(90, 5) + label[:, None]
    present = torch.stack([torch.ones(90, dtype=torch.bool), torch.arange(90) % 9 < 6], dim=1)
    vector[~present[:, 1]] = torch.nan
    samples = Batch.of({"word": (label * 3)[:, None].expand(-1, 4).contiguous(), "vector": vector}, label, present)
    return {"train": samples.rows(slice(0, 60)), "val": samples.rows(slice(60, 90))}


@pytest.fixture
def towers(data):
    encoders = {"word": Words(), "vector": {"name": "mlp", "dim": 4}}
    return {name: umemma.train_tower(name, encoder, data, epochs=2) for name, encoder in encoders.items()}


@pytest.mark.parametrize("arm", [name for name, arm in umemma.ARMS.items() if arm.fusion in ("late", "best tower")])
def test_every_arm_that_fuses_late_trains_in_memory_and_is_evaluated(data, towers, arm):
    model = umemma.train_fusion(towers, data, arm=arm, epochs=1)
    results = umemma.evaluate(model, data["val"])
    assert list(results) == ["word+vector", "word", "vector"]
    assert [row["n"] for row in results.values()] == [18, 30, 18]
    assert all(0 <= row["accuracy"] <= 1 and 0 <= row["cross_entropy"] < 10 for row in results.values())


def test_evaluation_agrees_with_asking_the_model_by_hand(data, towers):
    model = umemma.train_fusion(towers, data, epochs=1)
    val = data["val"]
    has = val.present[:, 1]
    with torch.no_grad():
        logits = model(val.with_present(val.present & torch.tensor([False, True]))).double()[has]
    metrics = umemma.evaluate(model, val)["vector"]
    assert metrics["accuracy"] == pytest.approx((logits.argmax(dim=1) == val.label[has]).double().mean().item())
    assert metrics["cross_entropy"] == pytest.approx(
        nn.functional.cross_entropy(logits, val.label[has]).item(), rel=1e-5
    )


def test_a_callers_module_is_trained_as_a_copy_and_an_arm_from_scratch_starts_from_it(data):
    module = Words()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    tower = umemma.train_tower("word", module, data, epochs=2)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not torch.equal(tower.encoder.body.linear.weight, before["linear.weight"])
    fresh = tower.encoder.fresh()
    assert all(torch.equal(value, before[name]) for name, value in fresh.body.state_dict().items())


def test_towers_are_left_as_they_are_by_fusion(data, towers):
    before = {name: {key: value.clone() for key, value in tower.state_dict().items()} for name, tower in towers.items()}
    umemma.train_fusion(towers, data, epochs=1, tower_lr=0.1)
    for name, tower in towers.items():
        assert all(torch.equal(value, before[name][key]) for key, value in tower.state_dict().items())


def test_a_callers_module_is_named_where_a_file_cannot_hold_it(data, towers, tmp_path):
    with pytest.raises(SettingError, match="encoder of word is a module of the caller's own"):
        unimodal.save(towers["word"], tmp_path / "tower")
    with pytest.raises(SettingError, match="encoder of word"):
        checkpoint.save(umemma.train_fusion(towers, data, arm="ensemble"), tmp_path / "model", classes=["a", "b", "c"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(7, 3), r"encoder of vector cannot take values of shape \(5,\) and type torch.float32"),
        (nn.Unflatten(1, (5, 1)), r"encoder of vector returns \(1, 5, 1\) for one sample"),
    ],
)
def test_a_module_that_does_not_fit_is_named(data, module, message):
    with pytest.raises(SettingError, match=message):
        GivenEncoder("vector", data["train"].values["vector"], module)


def test_a_callers_module_is_told_of_numbers_that_were_not_measured(data):
    values = data["train"].values["vector"].clone()
    values[3, 1] = torch.nan
    module = nn.Linear(5, 3)
    with pytest.raises(SettingError, match=r"(?s)vector holds NaN.*takes_gaps"):
        GivenEncoder("vector", values, module).fit_scale(values)
    module.takes_gaps = True
    GivenEncoder("vector", values, module).fit_scale(values)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "gatd"}, "there is no head called 'gatd'.* Did you mean 'gated'"),
        ({"arm": "early"}, "there is no arm called 'early'"),
        ({"missing_rate": 2.0}, r"missing_rate.* is 2\.0"),
        ({"substitute": "zero"}, "substitute is 'zero'"),
        ({"epochs": 0.0}, r"epochs is 0\.0"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(data, towers, settings, message):
    with pytest.raises(SettingError, match=message):
        umemma.train_fusion(towers, data, **settings)


def test_wrong_data_are_named(data, towers):
    with pytest.raises(DataError, match="no split val; there are train"):
        umemma.train_tower("word", Words(), {"train": data["train"]})
    with pytest.raises(SettingError, match=r"no modality called 'wrd'.*Did you mean 'word'"):
        umemma.train_tower("wrd", Words(), data)
    with pytest.raises(SettingError, match="no encoder called 'mpl'"):
        umemma.train_tower("vector", {"name": "mpl"}, data)
    with pytest.raises(SettingError, match="towers of vector, word, but the data have word, vector"):
        umemma.train_fusion(dict(reversed(towers.items())), data)
    label = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(DataError, match="must be of the same samples"):
        Batch.of({"a": torch.zeros(4, 2)}, label)
    with pytest.raises(DataError, match=r"present must be bool of shape \(3, 1\)"):
        Batch.of({"a": torch.zeros(3, 2)}, label, torch.ones(3, 1))
    with pytest.raises(DataError, match="label must be int64"):
        Batch.of({"a": torch.zeros(3, 2)}, label.float())
