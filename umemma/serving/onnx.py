"""`umemma onnx MODEL FOLDER`: the networks of a model as ONNX programs, one for each modality and one for the head.

So a runtime leaves out what is absent: it does not call that program, and gives the head zeros and `present` False. One
program for everything could not, and cannot batch rows of different patterns. Decoders and calibration are not in them:
`programs.json` says which arrays go in, and logits come out.
"""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.errors import DataError, ParameterError
from umemma.files import write_json, written_whole
from umemma.missingness import Pattern, panel, pattern_name
from umemma.models.late_fusion import LateFusion
from umemma.models.run_encoders import encode_in_use
from umemma.prediction.predict import answered
from umemma.serving.model import Model, load

HEAD, FACTS = "head", "programs.json"
PRESENT, VALUE, FEATURES, LOGITS = "present", "value", "features", "logits"
TOLERANCE = 1e-4  # of a logit, or of its size above 1
RANDOM = ("noise", "donor")  # substitutes that are drawn by a row's key
_ROWS, _CHECKED = 5, 3  # a program is made from some rows, and must take other numbers of them


class Fused(nn.Module):
    """Features by modality and presence -> logits; a row with nothing gets the class shares.

    As `LateFusion.fuse`, without choices that depend on the data: stand-ins are the same for every row, and made once.
    """

    visible: torch.Tensor
    log_prior: torch.Tensor

    def __init__(self, network: LateFusion, log_prior: torch.Tensor) -> None:
        super().__init__()
        encoders = network.parts()
        blank = {name: torch.zeros(1, encoder.dim) for name, encoder in encoders.items()}
        absent = torch.zeros(1, len(encoders), dtype=torch.bool)
        in_use = {name: partial(encode_in_use, encoder) for name, encoder in encoders.items()}
        with torch.no_grad():
            stand_in, visible = network.substitute(blank, absent, torch.zeros(1, dtype=torch.int64), in_use)
        self.head, self.names = network.head, list(encoders)
        self.stand_in = nn.ParameterDict({name: nn.Parameter(value) for name, value in stand_in.items()})
        self.register_buffer("visible", visible)
        self.register_buffer("log_prior", log_prior)

    def forward(self, features: Mapping[str, torch.Tensor], present: torch.Tensor) -> torch.Tensor:
        """(batch, dim) each, (batch, modality) bool -> (batch, class)."""
        filled = {
            name: torch.where(present[:, m, None], features[name], self.stand_in[name])
            for m, name in enumerate(self.names)
        }
        if not getattr(self.head, "takes_gaps", False):
            filled = {name: value.nan_to_num(0.0) for name, value in filled.items()}
        logits = self.head(filled, present | self.visible)
        return torch.where(present.any(dim=1, keepdim=True), logits, self.log_prior)


def main(arguments: Sequence[str]) -> None:
    """Write the programs, and say how near they come."""
    parser = argparse.ArgumentParser("umemma onnx", description=__doc__)
    parser.add_argument("model", type=Path, help="a model folder, as a run leaves in data/export")
    parser.add_argument("folder", type=Path, help="where the programs are written")
    given = parser.parse_args(arguments)
    difference = write(load(given.model), given.folder)
    print(f"{given.folder}: in every pattern within {difference:.1e} of the model")


def write(model: Model, path: Path) -> float:
    """Write the programs; return how far their logits are from the model's, at most, over random rows of every pattern.

    Raises ParameterError for a model that has no such parts, DataError if programs and model differ.
    """
    network = _with_parts(model)
    encoders = {name: _encoder(model, name) for name in model.modalities}
    values = _random_values(model)
    features = {name: encoders[name](value) for name, value in values.items()}
    present = torch.ones(_ROWS, len(model.modalities), dtype=torch.bool)
    with written_whole(path) as temporary:
        temporary.mkdir()
        for name, encoder in encoders.items():
            _write(encoder, (values[name],), [VALUE], FEATURES, temporary / f"{name}.onnx")
        fused = Fused(network, model.calibration.log_prior).eval()
        _write(fused, (features, present), [*features, PRESENT], LOGITS, temporary / f"{HEAD}.onnx")
        write_json(temporary / FACTS, _facts(model))
        differences = {
            pattern: _difference(temporary, model, encoders, values, pattern) for pattern in _patterns(model)
        }
        worst = max(differences, key=lambda pattern: differences[pattern])
        if differences[worst] > TOLERANCE:
            raise DataError(
                f"with {pattern_name(worst, model.modalities) or 'nothing'} the programs' logits are {differences[worst]:.1e} "
                f"away from the model's, more than {TOLERANCE:.0e}: nothing was written"
            )
    return differences[worst]


def _with_parts(model: Model) -> LateFusion:
    network = model.network
    if not isinstance(network, LateFusion):
        raise ParameterError(
            f"arm {model.facts.arm} has no program for each modality: only late fusion has one network each"
        )
    if network.settings["substitute"] in RANDOM:
        raise ParameterError(
            f"the substitute {network.settings['substitute']} is drawn by a row's key, which no ONNX program does: "
            "train with `none`, `zeros`, `train_mean` or `learned`"
        )
    return network


def _encoder(model: Model, name: str) -> nn.Module:
    parts = [model.backbones[name]] if name in model.backbones else []
    assert isinstance(model.network, LateFusion)
    return nn.Sequential(*parts, model.network.encoders[name]).eval()


def _write(module: nn.Module, inputs: tuple[Any, ...], names: list[str], output: str, path: Path) -> None:
    rows = {0: torch.export.Dim("rows", min=1)}
    shapes = tuple(dict.fromkeys(one, rows) if isinstance(one, Mapping) else rows for one in inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        try:
            program = torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=names,
                output_names=[output],
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ParameterError(f"{path.stem} cannot be written as ONNX: {str(error).splitlines()[0]}") from error
    assert program is not None
    program.save(path)


def _facts(model: Model) -> dict[str, Any]:
    decoded = model.inputs.decoded
    programs = {
        name: {"program": f"{name}.onnx", VALUE: {"shape": list(decoded[name].shape), "dtype": decoded[name].dtype}}
        for name in model.modalities
    }
    return {"model": model.digest, "modalities": programs, HEAD: f"{HEAD}.onnx", "classes": list(model.classes)}


def _random_values(model: Model) -> dict[str, torch.Tensor]:
    """Return (row, *shape) of every modality, of a size that arrays may have."""
    drawn, values = torch.Generator().manual_seed(0), {}
    for name, one in model.inputs.decoded.items():
        dtype, shape = getattr(torch, one.dtype), (_ROWS, *one.shape)
        most = 256 if dtype == torch.uint8 else 4  # small numbers are words that every vocabulary has
        values[name] = (
            torch.randn(shape, generator=drawn).to(dtype)
            if dtype.is_floating_point
            else torch.randint(0, most, shape, generator=drawn).to(dtype)
        )
    return values


def _patterns(model: Model) -> list[Pattern]:
    return [*panel(len(model.modalities)), (False,) * len(model.modalities)]


@torch.no_grad()
def _difference(
    folder: Path, model: Model, encoders: Mapping[str, nn.Module], values: Mapping[str, torch.Tensor], pattern: Pattern
) -> float:
    """Return the largest difference of a logit from what the model answers; programs of what is absent do not run."""
    present, number = torch.tensor(pattern).expand(_CHECKED, -1), torch.zeros(_CHECKED, dtype=torch.int64)
    values = {name: value[:_CHECKED] for name, value in values.items()}
    ours, theirs = {}, {}
    for has, (name, encoder) in zip(pattern, encoders.items(), strict=True):
        features = encoder(values[name])
        ours[name] = features if has else torch.zeros_like(features)
        theirs[name] = ours[name].numpy()
        if has:
            (theirs[name],) = _run(folder / f"{name}.onnx", {VALUE: values[name].numpy()})
    (logits,) = _run(folder / f"{HEAD}.onnx", {**theirs, PRESENT: present.numpy()})
    data = Batch(ours, present, number, number)
    expected = answered(model.network, data, model.calibration.log_prior, of_features=True, device=model.device)
    return ((torch.from_numpy(logits) - expected).abs() / expected.abs().clamp(min=1)).max().item()


def _run(program: Path, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
    try:
        session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
        # the exporter leaves out what a head does not read
        return session.run(None, {one.name: inputs[one.name] for one in session.get_inputs()})
    except Exception as error:  # its errors have no common class
        raise DataError(f"{program.name} does not run, nothing was written: {error}") from error
