"""The documentation builds strictly, needs no network, names what exists, and its code works."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
generated = pytest.importorskip("generated")
repository_paths = pytest.importorskip("repository_paths")

PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PAGES]
STRICT = ("-W", "--keep-going", "-n", "-q", "-b", "html")
LOADS = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}


class Loaded(HTMLParser):
    """Collects what a page loads by itself; a link that a reader may follow is not loaded."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        address = dict(attributes).get(LOADS.get(tag, ""))
        if address:
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *STRICT, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


@pytest.mark.slow
def test_the_site_builds_strictly_and_loads_nothing_from_the_web(site):
    pages = list(site.rglob("*.html"))
    assert {page.stem for page in pages} >= {page.stem for page in PAGES}
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        assert [address for address in loaded.addresses if re.match(r"(https?:)?//", address)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(\s*['\"]?|@import\s+['\"]?)(https?:)?//", style.read_text("utf-8")), style


@pytest.mark.slow
def test_the_reference_names_every_parameter(site):
    from umemma.parameters import Parameters

    text = (
        re.sub(r"<[^>]+>", "", (site / "parameters.html").read_text("utf-8")).replace("&lt;", "<").replace("&gt;", ">")
    )
    keys = [key for key, _, _ in generated.fields(Parameters)]
    assert "fuse.missing_rate" in keys
    assert "validation.severity.blank" in keys
    assert [key for key in keys if key not in text] == []


@pytest.mark.slow
def test_formulas_are_drawn_without_script(site):
    page = (site / "account.html").read_text("utf-8")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML"' in page
    assert not re.search("mathjax[^_]|katex", page, re.IGNORECASE)  # a class `mathjax_ignore` stands in every page


def test_the_options_of_a_table_are_all_explained():
    page = (ROOT / "docs/table-options.md").read_text("utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(generated.settings_of("table")) - {"classes", "task"} <= known


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_path_exists(path):
    code = re.findall(r"`([^`\n]+)`", path.read_text("utf-8"))
    assert [missing for text in code for missing in repository_paths.missing(text)] == []


@pytest.mark.parametrize("path", [path for path in TEXTS if path.parent == ROOT], ids=lambda path: path.name)
def test_every_link_outside_of_the_site_exists(path):
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]+)#?([^)]*)\)", path.read_text("utf-8")):
        assert (ROOT / link).exists(), link
        headings = re.findall(r"^#+ (.+)$", (ROOT / link).read_text("utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in {
            re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
        }, anchor


def test_readme_is_short_and_has_the_test_command():
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 180
    assert re.search(r"^make test\b", text, re.MULTILINE)


def code_of(page: str, file: str):
    """Return the namespace of the code block whose first line names `file`."""
    blocks = re.findall(r"```python\n(# [\w/.]+\n.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)
    block = next(block for block in blocks if block.startswith(f"# {file}\n"))
    namespace: dict = {"__name__": file}
    exec(compile(block, file, "exec"), namespace)
    return namespace


def test_the_encoder_of_the_manual_is_one():
    build = code_of("extending.md", "umemma/models/encoders/mean_max.py")["build"]
    assert build((3, 8, 6), dim=5)(torch.rand(4, 3, 8, 6)).shape == (4, 5)
    with pytest.raises(ValueError, match="mean_max takes maps"):
        build((7,))


def test_the_decoder_of_the_manual_is_one():
    import io

    from PIL import Image

    decoder = code_of("extending.md", "umemma/media/decoders/colour_histogram.py")["Decoder"](bins=4)
    content = io.BytesIO()
    Image.new("RGB", (5, 3), (255, 0, 100)).save(content, "PNG")
    assert decoder(content.getvalue()).tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0]


def test_the_head_of_the_manual_answers_from_what_is_visible():
    head_class = code_of("extending.md", "umemma/models/heads/most_confident.py")["Head"]
    towers = {"a": torch.nn.Linear(3, 2), "b": torch.nn.Linear(4, 2)}
    head = head_class(towers, torch.tensor([0.25, 0.75]).log())
    features = {"a": torch.rand(3, 3), "b": torch.full((3, 4), torch.nan)}
    visible = torch.tensor([[True, False], [False, False], [True, False]])
    logits = head(features, visible)
    torch.testing.assert_close(logits[0], towers["a"](features["a"][0]))
    torch.testing.assert_close(logits[1], head.log_prior)
