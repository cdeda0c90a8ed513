"""Precision: explicit settings, and what `auto` chooses for the processor."""

import pytest
import torch

from umemma.models.device import Device


def dtype(precision: str) -> torch.dtype:
    with Device.set_up("cpu", precision, threads=None).autocast():
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


@pytest.mark.parametrize(("precision", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_precision_that_is_asked_for_is_used(precision, expected):
    assert dtype(precision) == expected


@pytest.mark.parametrize(
    ("able", "expected"),
    [({"avx2": True}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16)],
)
def test_auto_takes_bfloat16_only_where_the_processor_has_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert dtype("auto") == expected
