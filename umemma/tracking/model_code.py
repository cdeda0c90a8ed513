"""The program of the MLflow model, a model "from code": MLflow copies this file beside the folder and runs it to load.

It holds nothing but the call: the folder is data, and what reads it is the installed umemma, so that any number of
models live in one process. Code of a model's own would be imported under one name, and the second model get the first
one's (mlflow#12377).
"""

from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from umemma.errors import UmemmaError, some
from umemma.serving.model import COVERAGE, load


class ModelFolder(PythonModel):
    """A model folder that answers as `umemma.load(folder).predict(rows)` does."""

    def load_context(self, context: Any) -> None:
        """Load the folder; called once."""
        self._model = load(context.artifacts["folder"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer each row. Rows that cannot be answered are the caller's fault: a server says so with 400."""
        if model_input.columns.empty:  # MLflow has dropped what the signature does not name, and then knows of no rows
            raise MlflowException.invalid_parameter_value(
                f"there is no column that the model reads: it takes {some(self._model.column_names(), 20)}"
            )
        try:
            return self._model.predict(model_input, coverage=(params or {}).get("coverage", COVERAGE))
        except UmemmaError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(ModelFolder())
