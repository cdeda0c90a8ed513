"""`umemma onnx`: a program for each modality and one for the head, as near as 1e-4 in every pattern; what cannot be is said."""

import itertools
import json
import pkgutil

import numpy as np
import pytest
import torch

import umemma
from tests import served_sample
from tests.test_serve import request_of
from umemma.errors import ParameterError
from umemma.models import heads
from umemma.serving.http.cells import Cells
from umemma.serving.http.limits import Limits

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("umemma.serving.onnx")
HEADS = sorted(module.name for module in pkgutil.iter_modules(heads.__path__))


def answered(folder, model, row):
    """Answer with the programs alone: those of what is absent are not called."""
    facts = json.loads((folder / "programs.json").read_text())
    inputs = {name: np.zeros((1, encoder.dim), np.float32) for name, encoder in model.network.parts().items()}
    for name, value in row.values.items():
        session = onnxruntime.InferenceSession(folder / facts["modalities"][name]["program"])
        (inputs[name],) = session.run(None, {"value": value[None].numpy()})
    inputs["present"] = np.array([[name in row.values for name in model.modalities]])
    (logits,) = onnxruntime.InferenceSession(folder / facts["head"]).run(None, inputs)
    return torch.from_numpy(logits)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*HEADS, "concat/learned", "gated/zeros", "concat/train_mean"])
def test_programs_answer_as_the_model_does_in_every_pattern(tmp_path, kind):
    served = served_sample.made(tmp_path / "pets", kind=kind)
    model = umemma.load(served.folder)
    assert onnx.write(model, tmp_path / "programs") < 1e-4
    cells = Cells(model.reader, Limits(), None)
    for pattern in itertools.product((False, True), repeat=3):
        (row,) = cells.rows(request_of(served, 3, pattern), "row 1")
        torch.testing.assert_close(
            answered(tmp_path / "programs", model, row), model.logits([row]), atol=1e-4, rtol=1e-4
        )


def test_a_model_whose_stand_ins_are_drawn_has_no_programs(tmp_path):
    model = umemma.load(served_sample.made(tmp_path / "pets", kind="concat/donor").folder)
    with pytest.raises(ParameterError, match="donor is drawn by a row's key"):
        onnx.write(model, tmp_path / "programs")
    assert not (tmp_path / "programs").exists()
