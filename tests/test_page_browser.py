"""The page as readers see it: in a real browser, wide and narrow, light and dark, by keyboard and without script."""

import itertools
import shutil

import pytest

from tests.page_sample import FOUR, HOSTILE, TEN, TWO, sample
from umemma.missingness import patterns, probability
from umemma.reporting.expected import kept, presence
from umemma.reporting.page import page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KINDS = {
    "two": sample(TWO),
    "four": sample(FOUR),
    "hostile": sample(HOSTILE),
    "several": sample(TWO, several=True),
    "ten": sample(TEN),
}
TEXTS_THAT_TOUCH = """() => [...document.querySelectorAll('svg')].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0);
  const outside = boxes.filter(([, b]) => b.left < frame.left - 1 || b.right > frame.right + 1
    || b.top < frame.top - 1 || b.bottom > frame.bottom + 1).map(([name]) => [name, 'outside']);
  const over = boxes.flatMap(([name, a], i) => boxes.slice(i + 1).filter(([, b]) => a.left < b.right - 0.5
    && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5).map(([other]) => [name, other]));
  return [...outside, ...over];
})"""
LOWEST_CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => rgba(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgba(colour)[3] === 255) return colour;
    }
  };
  const contrast = (node) => {
    const style = getComputedStyle(node);
    const [a, b] = [luminance(node.closest('svg') ? style.fill : style.color), luminance(behind(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const shown = [...document.body.querySelectorAll('*')].filter((node) => !node.closest('script, title, desc')
    && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())
    && node.getClientRects().length);
  return shown.map((node) => [contrast(node), node.textContent.slice(0, 40)]).sort((a, b) => a[0] - b[0])[0];
}"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on PATH")
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    with api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, reports in KINDS.items():
        (folder / f"{name}.html").write_text(page(reports), encoding="utf-8")
    return folder


@pytest.fixture
def show(browser, files):
    """Open a page; fails at the end on any console message or network request."""
    contexts, trouble, requested = [], [], []

    def opened(name, *, width=1280, scheme="light", script=True):
        context = browser.new_context(
            viewport={"width": width, "height": 740}, color_scheme=scheme, java_script_enabled=script
        )
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: trouble.append(message.text))
        shown.on("pageerror", lambda error: trouble.append(str(error)))
        shown.on("request", lambda request: requested.append(request.url))
        shown.goto((files / f"{name}.html").as_uri())
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []
    assert {url for url in requested if not url.startswith(("file:", "data:"))} == set()
    assert len([url for url in requested if url.startswith("file:")]) == len(contexts)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_overlaps_and_a_narrow_page_does_not_scroll_sideways(show, name):
    shown = show(name, width=360)
    shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert shown.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert shown.evaluate(TEXTS_THAT_TOUCH) == []
    shown.set_viewport_size({"width": 1280, "height": 740})
    assert shown.evaluate(TEXTS_THAT_TOUCH) == []
    assert shown.evaluate("document.querySelectorAll('svg text').length") > 100


CUT = """(id) => [...document.querySelectorAll(`${id} .scroll`)].filter((one) => one.checkVisibility()
  && one.scrollWidth > one.clientWidth + 1).map((one) => one.getAttribute('aria-label'))"""


@pytest.mark.parametrize("name", KINDS)
def test_no_table_that_is_open_at_first_is_cut(show, name):
    shown = show(name)
    assert set(shown.evaluate(CUT, "main")) <= {"Chart of arms", "Table of masks"}
    shown.set_viewport_size({"width": 390, "height": 740})
    assert shown.evaluate(CUT, "#verdict") == shown.evaluate(CUT, "#classes") == []


def test_dots_of_a_pattern_have_the_colours_of_its_modalities(show):
    shown = show("two")
    colours = shown.evaluate("""() => [...document.querySelectorAll('symbol .full')].slice(0, 2)
      .map((one) => getComputedStyle(one).fill)""")
    swatches = shown.evaluate("""() => [...document.querySelectorAll('#data .swatch')].slice(0, 2)
      .map((one) => getComputedStyle(one).backgroundColor)""")
    assert colours == swatches
    assert len(set(colours)) == 2


def test_light_and_dark_differ_and_both_can_be_read(show):
    papers = set()
    for scheme in ("light", "dark"):
        shown = show("two", scheme=scheme)
        shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        papers.add(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
        contrast, where = shown.evaluate(LOWEST_CONTRAST)
        assert contrast >= 4.5, (scheme, where)
    assert len(papers) == 2


def test_tab_reaches_everything_that_can_be_used(show):
    shown = show("two")
    shown.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wanted = shown.evaluate("""() => [...document.querySelectorAll('a, input, summary, .scroll')].map((one, index) =>
      { one.dataset.stop = index; return String(index); })""")
    reached = []
    for _ in wanted:
        shown.keyboard.press("Tab")
        reached.append(shown.evaluate("document.activeElement.dataset.stop"))
        assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached == wanted
    assert shown.locator("[data-stop='0']").text_content() == "Skip to the results"
    shown.locator(".skip").focus()
    assert shown.locator(".skip").bounding_box()["y"] >= 0
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"


def test_arrow_keys_on_a_slider_show_the_exact_expectation(show):
    shown = show("four")
    robustness = sample(FOUR)[0]
    steps = {0: ("ArrowRight", 7), 1: ("ArrowLeft", 3), 2: ("End", 1), 3: ("Home", 1)}
    for index, (key, times) in steps.items():
        shown.locator(f"#rate-{index}").focus()
        for _ in range(times):
            shown.keyboard.press(key)
    rates = (0.57, 0.47, 1.0, 0.0)
    by_pattern = {
        pattern: robustness.patterns["+".join(itertools.compress(FOUR[0], pattern))] for pattern in patterns(4)
    }
    by_pattern[(False,) * 4] = robustness.kept[""]
    for key, place, text in (
        ("accuracy", "#expected-accuracy", "{:.1%}"),
        ("cross_entropy", "#expected-cross-entropy", "{:.3f}"),
    ):
        exact = sum(probability(pattern, rates) * getattr(row, key) for pattern, row in by_pattern.items())
        assert float(shown.locator(place).get_attribute("value")) == pytest.approx(exact, abs=1e-12)
        assert shown.locator(place).text_content() == text.format(exact)
    assert [shown.locator(f"#rate-{index}").get_attribute("aria-valuetext") for index in range(4)] == [
        "57% missing",
        "47% missing",
        "100% missing",
        "0% missing",
    ]
    shares = kept(presence(robustness), dict(zip(FOUR[0], rates, strict=True)))
    for index, left in enumerate([*patterns(4), (False,) * 4]):
        share = shares.get(frozenset(itertools.compress(FOUR[0], left)), 0.0)
        assert shown.locator(f"#share-{index}").text_content() == f"{share:.1%}"
    assert shown.locator("#share-0").text_content() == "0.0%"


def test_with_several_labels_the_sliders_show_the_exact_f1(show):
    shown, robustness = show("several"), KINDS["several"][0]
    shown.locator("#rate-0").focus()
    for _ in range(50):
        shown.keyboard.press("ArrowLeft")
    shown.locator("#rate-1").focus()
    shown.keyboard.press("End")
    at = next(row for row in robustness.rates if row.missing_rate == {"image": 0.0, "audio": 1.0})
    assert shown.locator("#rate-0").input_value() == "0"
    assert float(shown.locator("#expected-f1").get_attribute("value")) == pytest.approx(at.f1_micro, abs=1e-6)
    assert shown.locator("#expected-f1").text_content() == f"{at.f1_micro:.1%}"
    assert shown.locator("#expected-accuracy").text_content() == f"{at.accuracy:.1%}"


def test_without_script_the_sliders_are_gone_and_the_rest_is_there(show):
    shown = show("two", script=False)
    assert not shown.locator("#explore").is_visible()
    assert shown.locator("#rates svg").first.is_visible()
    assert shown.locator("h1").text_content().startswith("toy: 70,000 samples of image and audio, 5 classes")
