"""Facts about a media file, without its tensors: recorded in the manifest and checked by the validation gate.

A file must match its suffix: one that does not was renamed, or is the error page of a download, and a data set with
such files probably has other faults. The two kinds that share `.npy` differ in their number of axes; events, which are
arrays too, have a suffix of their own, as nothing in them tells them from a series of three channels.
"""

from collections.abc import Callable, Mapping

from umemma.errors import DataError
from umemma.media.kinds import array, audio, events, image, signature, text, video

KINDS = {
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "webp": "image",
    "wav": "audio",
    "flac": "audio",
    "ogg": "audio",
    "mp3": "audio",
    "m4a": "audio",
    "mp4": "video",
    "m4v": "video",
    "mov": "video",
    "mpg": "video",
    "mpeg": "video",
    "avi": "video",
    "mkv": "video",
    "webm": "video",
    "flv": "video",
    "txt": "text",
    "npy": "vector",
    "events": "events",
}
_READERS: Mapping[str, Callable[[bytes], dict[str, object]]] = {
    "image": image.facts,
    "audio": audio.facts,
    "video": video.facts,
    "text": text.facts,
    "vector": array.facts,
    "events": events.facts,
}


def facts(name: str, content: bytes) -> dict[str, object]:
    """Return kind, size and emptiness of one member: `name` is its member name, such as `image.png`.

    The facts of each kind are documented in `facts` of its module in `umemma/media/kinds`; `blank` is true for an image
    of one colour, digital silence, white space, numbers that are all equal. A `.npy` of two axes is of kind `series`.
    Raises DataError, naming the member, if it is unusable: empty, not matching its suffix, damaged, or absurdly large.
    """
    suffix = name.rsplit(".", 1)[-1].lower()
    if suffix not in KINDS:
        raise DataError(f"{name}: no media kind is known by '.{suffix}'; there are {', '.join(sorted(KINDS))}")
    kind = KINDS[suffix]
    if not content:
        raise DataError(f"{name}: the file is empty, it has 0 bytes")
    if (kind != "text" or signature.suffix(content) == "lfs") and signature.contradicts(suffix, content):
        raise DataError(f"{name}: is named .{suffix} but is really {signature.named(content)}")
    try:
        return {"kind": kind, "num_bytes": len(content)} | _READERS[kind](content)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
