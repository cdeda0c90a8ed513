"""What may be a name, checked where it enters: parameters, `umemma init`, the folder of a model that others made.

A data set's name becomes a folder, a modality's a file, a stage of the pipeline and a column; people type both into a
shell. A class is never part of a path or a command, so it may be called anything that can be seen: where it is shown,
it is escaped as the page, the table or the card needs it.
"""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from umemma.visible import HIDDEN

LONGEST = 1000  # characters of a class; a name that is longer is a text, and tables would be too wide to read
_PLAIN = re.compile(r"[A-Za-z0-9][\w-]{0,99}", re.ASCII)
_MODALITY = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)  # WebDataset skips members that begin with _


def about_plain(name: str) -> str | None:
    """Return what is wrong with the name of a data set, or None."""
    fits = _PLAIN.fullmatch(name)
    return None if fits else "must be a plain name (letters, digits, _ and -, a letter or digit first, 100 at most)"


def about_modality(name: str) -> str | None:
    """Return what is wrong with the name of a modality, or None."""
    fits = _MODALITY.fullmatch(name)
    return None if fits else "must be a plain name (letters, digits and _, a letter first, 100 at most)"


def about_class(name: str) -> str | None:
    """Return what is wrong with the name of a class, or None."""
    if len(name) > LONGEST:
        return f"must have at most {LONGEST:,} characters"
    if (hidden := HIDDEN.search(name) or re.search("[\t\n]", name)) is not None:
        return f"must be a name of characters that can be seen, without U+{ord(hidden[0]):04X}"
    return None


def about_address(url: str) -> str | None:
    """Return what is wrong with an address in the parameters, or None."""
    if "@" in urlsplit(url).netloc:
        return "must hold no user and no password: parameters are kept in git, in the record of every run and in MLflow"
    return None


def _checked(about: Callable[[str], str | None]) -> AfterValidator:
    def check(name: str) -> str:
        if wrong := about(name):
            raise PydanticCustomError("name", "{wrong}", {"wrong": wrong})
        return name

    return AfterValidator(check)


PlainName = Annotated[str, _checked(about_plain)]
ModalityName = Annotated[str, _checked(about_modality)]
Address = Annotated[str, _checked(about_address)]
ClassName = Annotated[str, _checked(about_class)]
