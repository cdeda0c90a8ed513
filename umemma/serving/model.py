"""A model folder, loaded: rows in, answers out. No program in the folder runs, and nothing is unpickled."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from umemma.data.batch import Batch
from umemma.errors import ParameterError
from umemma.missingness import key_digest
from umemma.models import checkpoint
from umemma.models.checkpoint import Model as Network
from umemma.models.device import Device
from umemma.models.feature_cache import read_backbone
from umemma.models.run_encoders import encode_split
from umemma.models.unimodal import Encoder
from umemma.prediction.predict import answered, features_of
from umemma.serving import calibration as calibrations
from umemma.serving import folder as files
from umemma.serving import rows as row_source
from umemma.serving.answer import Answer, Answers
from umemma.serving.calibration import Calibrated
from umemma.serving.folder import Facts, Inputs, Measured
from umemma.serving.reader import Reader
from umemma.serving.row import Row

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 256  # read and answered together; the bytes of an answer do not depend on it
COVERAGE = 0.9


class Model:
    """What `load` returns.

    `network` maps features by modality to logits; `backbones` are the frozen networks that come before it. `digest` names
    the folder's content.
    """

    def __init__(
        self,
        facts: Facts,
        reader: Reader,
        measured: Measured,
        *,
        network: Network,
        backbones: dict[str, Encoder],
        calibration: Calibrated,
        digest: str,
        device: Device,
    ) -> None:
        self.facts, self.reader, self.measured, self.digest = facts, reader, measured, digest
        self.network, self.backbones, self.calibration, self.device = network, backbones, calibration, device
        self.classes, self.modalities = tuple(facts.classes), tuple(facts.modalities)
        self._answers = Answers(self.classes, self.modalities, calibration, measured, digest=digest)

    @property
    def inputs(self) -> Inputs:
        """What a row may hold."""
        return self.reader.inputs

    def column_names(self) -> list[str]:
        """Return all columns that are read: of the modalities, of the key and of the group."""
        others = [column for column in (self.inputs.key, self.inputs.group) if column is not None]
        return list(dict.fromkeys([*others, *(name for columns in self.reader.columns.values() for name in columns)]))

    def predict(
        self, rows: row_source.Rows, *, coverage: float = COVERAGE, media: str | Path | None = None
    ) -> "pd.DataFrame":
        """Answer every row of a DataFrame, a list of dictionaries, or a table or folder by its path.

        Paths in cells are relative to `media`, and must lead below it: by default the table's folder. Of rows in memory
        no file is read without `media`; they may hold bytes, {"base64": text}, numbers and texts. The columns are the
        fields of `Answer`. What is said of columns that are not there, or not known, is a warning.
        """
        import pandas as pd

        say: Callable[[str], None] = lambda sentence: warnings.warn(sentence, stacklevel=3)  # noqa: E731
        parts = self.stream(rows, coverage=coverage, media=media, say=say)
        return pd.DataFrame([answer.cells() for part in parts for answer in part])

    def stream(
        self,
        rows: row_source.Rows,
        *,
        coverage: float = COVERAGE,
        media: str | Path | None = None,
        say: Callable[[str], None] = print,
        wanted: Callable[[int], bool] = lambda number: True,
    ) -> Iterator[list[Answer]]:
        """Yield the answers piece by piece, `ROWS_AT_ONCE` rows each, of those pieces whose number is `wanted`.

        `say` gets each sentence on the columns once.
        """
        if not 0 < coverage < 1:
            raise ParameterError(
                f"coverage lies between 0 and 1, not {coverage!r}: 0.9 holds the truth in 90 of 100 cases"
            )
        folders = row_source.folders(rows, media)
        reader = self.reader.of_files() if isinstance(rows, str | Path) and Path(rows).is_dir() else self.reader
        remarks = row_source.Remarks(reader, say)
        for number, piece in enumerate(row_source.read(rows, reader, ROWS_AT_ONCE)):
            remarks.on(reader.flat(piece.table).columns, are_all=piece.has_all_columns)
            if wanted(number):
                yield self.answers(reader.read(piece.table, folders, piece.broken), coverage=coverage)
        remarks.end()

    def answers(self, rows: Sequence[Row], *, coverage: float = COVERAGE) -> list[Answer]:
        """Answer rows that were read, in order; their patterns may be mixed, and towers of what is absent do not run."""
        return self._answers(rows, self._present(rows), self.logits(rows), coverage)

    def logits(self, rows: Sequence[Row]) -> torch.Tensor:
        """Return (row, class): the bytes that the run's predictions have for the same sample and pattern."""
        data = self._batch(rows)
        if self.backbones:
            data = data.with_values({**data.values, **self._features_of_backbones(data)})
        features = features_of(self.network, data, self.device)
        of_features = features is not None
        data = data if features is None else data.with_values(features)
        return answered(self.network, data, self.calibration.log_prior, of_features=of_features, device=self.device)

    def _features_of_backbones(self, data: Batch) -> dict[str, torch.Tensor]:
        return encode_split(self.backbones, data.only(list(self.backbones)), device=self.device)

    def _present(self, rows: Sequence[Row]) -> torch.Tensor:
        return torch.tensor([[name in row.values for name in self.modalities] for row in rows]).reshape(
            len(rows), len(self.modalities)
        )

    def _batch(self, rows: Sequence[Row]) -> Batch:
        values = {}
        for name in self.modalities:
            decoded = self.reader.inputs.decoded[name]
            value = torch.zeros(len(rows), *decoded.shape, dtype=getattr(torch, decoded.dtype))
            for number, row in enumerate(rows):
                if name in row.values:
                    value[number] = row.values[name]
            values[name] = value
        label = torch.zeros(len(rows), dtype=torch.int64)
        return Batch(values, self._present(rows), label, key_digest([row.key for row in rows]))


def load(folder: str | Path, *, device: str = "cpu") -> Model:
    """Load a model folder; `device`: auto, cpu, cuda. Raises ModelFolderError if it is damaged or of another version."""
    path = Path(folder)
    digest = files.verify(path)
    facts, inputs = files.read(path / files.FACTS, Facts), files.read(path / files.INPUTS, Inputs)
    chosen = Device.set_up(device, facts.precision, None)
    network = checkpoint.load(path / files.WEIGHTS).to(chosen.torch_device).eval()
    backbones = {
        name: read_backbone(path / files.BACKBONES / f"{name}.safetensors").to(chosen.torch_device)
        for name in facts.backbones
    }
    return Model(
        facts,
        Reader(inputs, path),
        files.read(path / files.MEASURED, Measured),
        network=network,
        backbones=backbones,
        calibration=calibrations.read(path / files.CALIBRATION),
        digest=digest,
        device=chosen,
    )
