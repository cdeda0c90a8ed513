"""Facts about a media file, without its tensors: recorded in the manifest and checked by the validation gate.

The content says what a file is: its suffix is only a hint (`umemma.media.formats`). A file of another kind, or the error
page of a download, is an error: a data set with such files probably has other faults. The two kinds that share `.npy`
differ in their number of axes; events, which are arrays too, have a suffix of their own, as nothing in them tells them
from a series of three channels.
"""

from collections.abc import Callable, Mapping

from umemma.errors import DataError, some
from umemma.media import formats
from umemma.media.formats import KINDS
from umemma.media.kinds import array, audio, events, image, signature, text, video

_READERS: Mapping[str, Callable[[bytes], dict[str, object]]] = {
    "image": image.facts,
    "audio": audio.facts,
    "video": video.facts,
    "text": text.facts,
    "vector": array.facts,
    "events": events.facts,
}


def facts(name: str, content: bytes) -> dict[str, object]:
    """Return kind, format, size and emptiness of one member: `name` is its member name, such as `image.png`.

    `format` is the true one, by content. The facts of each kind are documented in `facts` of its module in
    `umemma/media/kinds`; `blank` is true for an image of one colour, digital silence, white space, numbers that are all
    equal. A `.npy` of two axes is of kind `series`. Raises DataError, naming the member, if it is unusable: empty, of
    another kind than its suffix says, damaged, or absurdly large.
    """
    suffix = name.rsplit(".", 1)[-1].lower()
    if suffix not in KINDS:
        raise DataError(f"{name}: no media kind is known by '.{suffix}'; there are {some(sorted(KINDS), 12)}")
    kind = KINDS[suffix]
    if not content:
        raise DataError(f"{name}: the file is empty, it has 0 bytes")
    format_ = formats.format_of(content, suffix) if kind != "text" else "txt"
    try:
        if kind != "text" or signature.suffix(content) == "lfs":
            formats.check(kind, content)
        return {"kind": kind, "format": format_, "num_bytes": len(content)} | _READERS[kind](content)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
