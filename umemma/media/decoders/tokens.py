"""UTF-8 text to the token ids of a language model, for the encoder `transformers`.

A token's id is the tokeniser's plus one, and 0 is padding: tokenisers differ in their padding id (0 for BERT, 1 for
RoBERTa, none for GPT-2), and with a fixed rule every text encoder knows what to mask.
"""

import torch
from transformers import AutoTokenizer

from umemma import hub
from umemma.media.kinds import text


class Decoder:
    """Decode text to int32 (length,): special tokens included, truncated to `length` tokens or padded with 0.

    `model`: folder, package or hub name, the same as in the encoder's name.
    """

    def __init__(self, *, model: str, length: int) -> None:
        self._tokenizer = hub.opened(model, AutoTokenizer.from_pretrained)
        if not 1 <= length <= self._tokenizer.model_max_length:
            raise ValueError(
                f"length must be 1 to {self._tokenizer.model_max_length}, the most that {model} takes, not {length}"
            )
        self._length = length

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the ids; an empty text is the special tokens alone. Raises DataError if the bytes are not text."""
        token_ids = self._tokenizer(text.read(content), truncation=True, max_length=self._length)["input_ids"]
        ids = torch.zeros(self._length, dtype=torch.int32)
        ids[: len(token_ids)] = torch.tensor(token_ids, dtype=torch.int32) + 1
        return ids
