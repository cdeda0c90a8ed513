"""A model that is asked, trained and served for long needs no more memory, descriptors or threads than at first."""

import pytest

from tests import flat
from tests.flat import KIB

pytestmark = pytest.mark.slow
ROUNDS = 12


@pytest.mark.parametrize(
    ("kind", "each", "bytes_each"),
    [
        ("requests", 400, 200),  # 10^6 of them: 200 MB at most; measured below 20
        ("predictions", 10, 20 * KIB),
        ("epochs", 5, 20 * KIB),
    ],
)
def test_nothing_grows_with_the_work(kind, each, bytes_each):
    with flat.prepared(kind, each) as work:
        grown = flat.growth(flat.taken(work, ROUNDS))
    assert grown.memory / each < bytes_each
    assert grown.descriptors <= 0
    assert grown.threads <= 0


def test_a_log_of_answers_takes_disk_by_the_answer_and_no_memory(tmp_path):
    each = 100
    with flat.prepared("requests", each, log=tmp_path) as work:
        found = flat.taken(work, ROUNDS, tmp_path)
    grown = flat.growth(found)
    assert grown.memory / each < 2 * KIB
    assert grown.descriptors <= 0
    answers = each * 2 / 3
    assert 0 < grown.disk / answers < 500


def test_what_leaks_is_seen():
    kept = []
    leaking = flat.growth(flat.taken(lambda _: kept.append(bytearray(b"x" * 200 * KIB)), ROUNDS))
    assert leaking.memory > 100 * KIB
    files = []
    assert flat.growth(flat.taken(lambda _: files.append(open("/dev/null")), ROUNDS)).descriptors > 0  # noqa: SIM115
    for file in files:
        file.close()
