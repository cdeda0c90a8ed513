"""A form (multipart/form-data) as one row: files by modality or column, and fields of text.

The parser itself would take a form that is cut off, leaving out its last part, and read text in any encoding: here the
form must end, and text be UTF-8. An input that a browser sends without a file is not there.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from umemma.serving.http.limits import Refused

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


def from_form(content_type: str, content: bytes) -> dict[str, object]:
    """Return {name: text, or the bytes of a file}."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Refused(400, "form", "the Content-Type of a form names its boundary; this one does not")
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(content)
        parser.finalize()
    except FormParserError as error:
        raise Refused(400, "form", "the form cannot be read: it is not as its Content-Type says") from error
    if not form.has_ended:
        raise Refused(400, "form", "the form is cut off: its last boundary is missing")
    return form.row


@dataclass
class _Form:
    """What the parser has read so far: of the part it is in, the header `name: value` and the content."""

    row: dict[str, object] = field(default_factory=dict)
    has_ended: bool = False
    _header: list[bytearray] = field(default_factory=lambda: [bytearray(), bytearray()])
    _disposition: bytes = b""
    _content: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self._content.extend(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition, self._content = b"", bytearray()

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _end(self) -> None:
        options = parse_options_header(self._disposition)[1]
        name, content = _text(options.get(b"name", b""), "a name"), bytes(self._content)
        if not name:
            raise Refused(400, "form", "a part of the form has no name")
        if name in self.row:
            raise Refused(422, "twice", f"the form has {name[:60]!r} twice: a form is one row")
        if b"filename" not in options:
            self.row[name] = _text(content, repr(name[:60]))
        elif options[b"filename"] or content:
            self.row[name] = content

    def _finish(self) -> None:
        self.has_ended = True


def _text(content: bytes, what: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, "form", f"{what} in the form is no text in UTF-8") from error
