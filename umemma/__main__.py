"""`umemma COMMAND`: commands to set up a data set before the first run, and to answer new rows after it, also over HTTP."""

import sys
from collections.abc import Sequence

from umemma.errors import ParameterError, run, unknown


def _init(arguments: Sequence[str]) -> None:
    try:
        from umemma.init import init
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"`umemma init` reads tables and media, and {error.name} is not installed: pip install 'umemma[data]'"
        ) from error
    init.main(arguments)


def _predict(arguments: Sequence[str]) -> None:
    try:
        from umemma.serving import predict
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"`umemma predict` reads tables and media, and {error.name} is not installed: pip install 'umemma[data]'"
        ) from error
    predict.main(arguments)


def _serve(arguments: Sequence[str]) -> None:
    try:
        from umemma.serving.http import command
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"`umemma serve` needs {error.name}, which is not installed: pip install 'umemma[serve]'"
        ) from error
    command.main(arguments)


def _onnx(arguments: Sequence[str]) -> None:
    try:
        from umemma.serving import onnx
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"`umemma onnx` needs {error.name}, which is not installed: pip install 'umemma[onnx]'"
        ) from error
    onnx.main(arguments)


COMMANDS = {"init": _init, "predict": _predict, "serve": _serve, "onnx": _onnx}
_USAGE = """usage: umemma init FILE [--name NAME] [--root DIR] [--project DIR] ...; `umemma init --help` lists the rest
       umemma predict MODEL ROWS [--output FILE] ...; `umemma predict --help` lists the rest
       umemma serve MODEL [--port PORT] ...; `umemma serve --help` lists the rest
       umemma onnx MODEL FOLDER"""


def main() -> None:
    """Call the command that the first argument names; an error that the user can fix is printed as one line."""
    run(_command)


def _command() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"}:
        print(_USAGE)
        return
    if sys.argv[1] not in COMMANDS:
        raise ParameterError(unknown("umemma", "command", sys.argv[1], COMMANDS))
    COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    main()
