"""No line of the project runs a text, unpickles, or builds markup without escaping, read from the sources' trees.

A pickle, a YAML tag, an XML entity or a shell's line of a stranger runs as the user. What has to read such files does so
in a reader of its own, `umemma/sources/layouts/plain_pickle.py`, whose tests are in test_plain_pickle.py.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted(
    path for folder in ("umemma", "stages", "flows", "docs/_ext", "conf") for path in (ROOT / folder).rglob("*.py")
)
NEVER = {  # what is called: why not
    "eval": "runs a text",
    "exec": "runs a text",
    "compile": "runs a text",
    "__import__": "imports by a text",
    "os.system": "a shell",
    "os.popen": "a shell",
    "subprocess.getoutput": "a shell",
    "subprocess.getstatusoutput": "a shell",
    "pickle.load": "a pickle is a program",
    "pickle.loads": "a pickle is a program",
    "pickle.Unpickler": "a pickle is a program",
    "pd.read_pickle": "a pickle is a program",
    "pandas.read_pickle": "a pickle is a program",
    "joblib.load": "a pickle is a program",
    "dill.load": "a pickle is a program",
    "cloudpickle.load": "a pickle is a program",
    "cloudpickle.loads": "a pickle is a program",
    "marshal.load": "a program",
    "marshal.loads": "a program",
    "shelve.open": "a pickle is a program",
    "yaml.load": "its tags call Python",
    "yaml.unsafe_load": "its tags call Python",
    "yaml.full_load": "its tags call Python",
    "tempfile.mktemp": "another process may take the name first",
    "jinja2.Template": "does not escape",
    "shutil.unpack_archive": "members may lead out",
    "webdataset.WebDataset": "opens addresses, and `pipe:` is a shell",
    "webdataset.gopen": "opens addresses, and `pipe:` is a shell",
}
NEVER_NAMED = {  # methods, of whatever object
    "extractall": "members may lead out",
    "from_string": "a template from a text",
}
NEVER_IMPORTED = {"xml", "xmlrpc", "lxml", "shelve", "marshal", "dill", "cloudpickle", "joblib", "telnetlib"}
NEEDED = {  # what is called: an argument that it must have, as written here
    "torch.load": ("weights_only", True),
    "np.lib.format.read_array": ("allow_pickle", False),
    "jinja2.Environment": ("autoescape", True),
    "YAML": ("typ", "safe"),
}
FORBIDDEN = {"shell": True, "allow_pickle": True, "trust_remote_code": True, "verify": False}  # an argument of anything
PROGRAMS = ("subprocess.run", "subprocess.Popen", "subprocess.check_output", "subprocess.check_call", "subprocess.call")
ALLOWED = {
    ("umemma/sources/layouts/plain_pickle.py", "pickle._Unpickler"),
    # What a stage hands to its own jobs, in a folder that it has just made; submitit itself does so.
    ("umemma/launchers/slurm_launcher.py", "imports cloudpickle"),
    ("umemma/launchers/slurm_launcher.py", "pickle.loads: a pickle is a program"),
}


def faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, what is wrong)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((node.lineno, f"imports {m}") for m in modules if m.split(".")[0] in NEVER_IMPORTED)
            if isinstance(node, ast.ImportFrom) and node.module in {"pickle", "subprocess", "jinja2", "marshal"}:
                yield node.lineno, f"from {node.module}: call it by its whole name, so that this test sees it"
        if isinstance(node, ast.Attribute) and node.attr == "_Unpickler":
            yield node.lineno, "pickle._Unpickler"
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        constant = {name: value.value for name, value in given.items() if isinstance(value, ast.Constant)}
        if called in NEVER:
            yield node.lineno, f"{called}: {NEVER[called]}"
        if isinstance(node.func, ast.Attribute) and node.func.attr in NEVER_NAMED:
            yield node.lineno, f"{called}: {NEVER_NAMED[node.func.attr]}"
        if called in NEEDED and constant.get(NEEDED[called][0]) != NEEDED[called][1]:
            yield node.lineno, f"{called} without {'='.join(map(str, NEEDED[called]))}"
        for name, value in FORBIDDEN.items():
            if name in given and (name not in constant or constant[name] == value) and called != "transfer":
                yield node.lineno, f"{called} with {name}"
        if called in PROGRAMS and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp):
            yield node.lineno, f"{called} of a text, not of a list"
        if called == "Markup" and node.args and not isinstance(node.args[0], ast.Constant | ast.JoinedStr):
            yield node.lineno, "Markup of a variable: it is not escaped"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_is_run_and_nothing_is_unpickled(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    found = [fault for fault in faults(ast.parse(path.read_text("utf-8"))) if (name, fault[1]) not in ALLOWED]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        "eval(x)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run(f'ls {x}')",
        "subprocess.run(['ls'], shell=is_shell)",
        "pickle.loads(x)",
        "from pickle import loads",
        "class U(pickle._Unpickler): pass",
        "torch.load(x)",
        "torch.load(x, weights_only=False)",
        "np.load(x, allow_pickle=True)",
        "np.lib.format.read_array(x)",
        "yaml.load(x, Loader)",
        "YAML(typ='unsafe')",
        "YAML()",
        "jinja2.Environment(autoescape=False)",
        "jinja2.Environment(loader=l)",
        "environment.from_string(x)",
        "Markup(name)",
        "tar.extractall(x)",
        "webdataset.WebDataset(x)",
        "import xml.etree.ElementTree",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
    ],
)
def test_each_is_seen(line: str) -> None:
    assert list(faults(ast.parse(line)))
