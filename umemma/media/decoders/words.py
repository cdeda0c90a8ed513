"""UTF-8 text to word ids without a vocabulary, by feature hashing: a word's id is its hash.

Nothing is fitted, so nothing can leak from the test set and no word is unknown; two words collide with a probability of
1 / `buckets`. A word is a run of letters, marks and digits (a mark belongs to its letter: Hindi would fall apart
otherwise), without apostrophes: don't is dont. In scripts without spaces between words - Chinese, Japanese, Thai, Lao,
Khmer, Burmese, Tibetan - and for symbols such as emoji, each character is a word; a sequence model can recombine them.
Text is first normalised to Unicode NFKC (full-width letters, ligatures) and case-folded.
"""

import unicodedata
from hashlib import blake2b

import torch

from umemma.media.kinds import text

_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_APOSTROPHES = "'\u2019"


class _Spaced(dict[int, str]):
    """For `str.translate`: a character as it is, between spaces, dropped, or a space; cached after the first lookup."""

    def __missing__(self, code: int) -> str:
        character, category = chr(code), unicodedata.category(chr(code))
        if character in _APOSTROPHES:
            spaced = ""
        elif category == "So" or (category[0] in "LMN" and any(low <= code <= high for low, high in _UNSPACED)):
            spaced = f" {character} "
        else:
            spaced = character if category[0] in "LMN" else " "
        self[code] = spaced
        return spaced


class Decoder:
    """Decode text to int32 (length,): ids from 1 to `buckets`, truncated to `length` words or padded with 0."""

    def __init__(self, *, length: int, buckets: int = 20_000) -> None:
        if min(length, buckets) < 1:
            raise ValueError(f"length and buckets must be 1 or more, not {length} and {buckets}")
        self._length, self._buckets = length, buckets
        self._spaced = _Spaced()

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the ids, all 0 for a text without words. Raises DataError if the bytes are not text."""
        words = unicodedata.normalize("NFKC", text.read(content)).casefold().translate(self._spaced).split()
        ids = torch.zeros(self._length, dtype=torch.int32)
        word_ids = [self._id(word) for word in words[: self._length]]
        ids[: len(word_ids)] = torch.tensor(word_ids, dtype=torch.int32)
        return ids

    def _id(self, word: str) -> int:
        return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big") % self._buckets + 1
