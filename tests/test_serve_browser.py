"""The page of `umemma serve` in a real browser: parts given and left out, the answer that moves, both schemes, narrow."""

import re
import threading
from contextlib import contextmanager

import pytest

import umemma
from tests import served_sample
from tests.test_page_browser import LOWEST_CONTRAST, browser  # noqa: F401
from umemma.serving.http import access, command
from umemma.serving.http.app import app
from umemma.serving.http.limits import Limits
from umemma.serving.http.service import Service

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@contextmanager
def running(served, token=None):
    """Yield the address of a server on a real socket."""
    service = Service(umemma.load(served.folder), Limits(), None)
    application = app(service, token=token, hosts=access.hosts("127.0.0.1", token))
    listening = command.listener("127.0.0.1", 0)
    server = command.server(application, "127.0.0.1", listening)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def address(served):
    with running(served) as where:
        yield where


@pytest.fixture
def show(browser, address):  # noqa: F811
    """Open the page; fails at the end on a console message, or a request to anywhere else."""
    contexts, trouble, requested = [], [], []

    def opened(*, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(address)
        page.get_by_text("From nothing").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []
    assert {url for url in requested if not url.startswith((address, "data:", "blob:"))} == set()


def test_the_answer_moves_as_parts_are_given_and_left_out(show, served):
    page = show()
    assert page.locator("#decision").text_content() == "cat"
    page.get_by_label("note").locator("textarea").fill("purrs barks")
    page.get_by_text("From note", exact=True).wait_for()
    assert page.locator("#patterns .now .name").text_content() == "note"
    digest = umemma.load(served.folder).digest
    assert re.fullmatch(rf"Answer {digest[:12]}-[0-9a-f]{{12}}", page.locator("#id").text_content())
    page.locator("input[type=file]").set_input_files(served.table.parent / "photos/p3.png")
    page.get_by_label("age", exact=True).fill("4")
    page.get_by_label("coat").select_option("long")
    page.get_by_text("From photo and body and note").wait_for()
    assert page.locator("#patterns .now .name").text_content() == "photo + body + note"
    page.get_by_role("checkbox").first.check()
    page.get_by_text("From body and note", exact=True).wait_for()
    page.locator("#coverage").fill("50")
    page.get_by_text("The set for 50 %").wait_for()
    page.get_by_label("age", exact=True).fill("old")
    page.get_by_text("'old' is no number").wait_for()


def test_a_file_that_is_no_picture_is_said_to_be_none(show, tmp_path):
    (tmp_path / "p.png").write_bytes(b"no picture")
    page = show()
    page.locator("input[type=file]").set_input_files(tmp_path / "p.png")
    page.get_by_text("photo could not be used").wait_for()
    assert page.locator("#from").text_content() == "From nothing"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_and_does_not_scroll_sideways(show, scheme):
    page = show(width=390, scheme=scheme)
    page.get_by_label("note").locator("textarea").fill("purrs")
    page.get_by_text("From note", exact=True).wait_for()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert page.evaluate(LOWEST_CONTRAST)[0] >= 4.5


def test_every_field_has_a_name(show):
    page = show()
    unnamed = """[...document.querySelectorAll('input, textarea, select')]
      .filter((one) => !one.ariaLabel && !one.labels?.length).map((one) => one.outerHTML)"""
    assert page.evaluate(unnamed) == []


def test_the_page_asks_for_the_token_of_a_server_that_has_one(browser, served):  # noqa: F811
    with running(served, TOKEN) as where, browser.new_context() as context:
        page = context.new_page()
        page.goto(where)
        page.get_by_text("the token is missing or wrong").wait_for()
        page.get_by_label("This server asks for its token").fill(TOKEN)
        page.get_by_label("This server asks for its token").press("Enter")
        page.get_by_text("From nothing").wait_for()
        assert page.locator("#key").is_hidden()
