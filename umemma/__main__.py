"""`umemma COMMAND`: set up a data set before the first run; answer new rows after it, and watch; verify a model; describe shards."""

import sys
from importlib import import_module

from umemma.errors import ParameterError, run, unknown
from umemma.paths import home

_READS, _NEEDS = "reads tables and media, and {} is not installed", "needs {}, which is not installed"
COMMANDS = {  # the module, what is said of a package that it lacks, the extra that has it
    "init": ("umemma.init.init", _READS, "data"),
    "predict": ("umemma.serving.predict", _READS, "data"),
    "serve": ("umemma.serving.http.command", _NEEDS, "serve"),
    "monitor": ("umemma.monitoring.command", _READS, "data"),
    "croissant": ("umemma.data.croissant", _READS, "data"),
    "onnx": ("umemma.serving.onnx", _NEEDS, "onnx"),
    "verify": ("umemma.serving.verify", _NEEDS, "data"),
    "sign": ("umemma.serving.signature", _NEEDS, "signing"),
}
_USAGE = """usage: umemma init FILE [--name NAME] [--root DIR] [--project DIR] ...; `umemma init --help` lists the rest
       umemma predict MODEL ROWS [--output FILE] ...; `umemma predict --help` lists the rest
       umemma serve MODEL [--port PORT] ...; `umemma serve --help` lists the rest
       umemma monitor ANSWERS [--model MODEL] [--since 24h] [--labels FILE] ...; `umemma monitor --help` lists the rest
       umemma croissant SHARDS [--license URL] ...; `umemma croissant --help` lists the rest
       umemma onnx MODEL FOLDER
       umemma verify MODEL [--key PUBLIC.pem] [--digest DIGEST]
       umemma sign MODEL --key PRIVATE.pem
MODEL is a folder, or models:/NAME@ALIAS of MLflow's registry"""


def main() -> None:
    """Call the command that the first argument names; an error that the user can fix is printed as one line."""
    run(_command)


def _command() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"}:
        print(_USAGE)
        return
    if sys.argv[1] not in COMMANDS:
        raise ParameterError(unknown("umemma", "command", sys.argv[1], COMMANDS))
    module, lacking, extra = COMMANDS[sys.argv[1]]
    try:
        command = import_module(module)
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"`umemma {sys.argv[1]}` {lacking.format(error.name)}: pip install 'umemma[{extra}]'"
        ) from error
    command.main([_local(argument) for argument in sys.argv[2:]])


def _local(argument: str) -> str:
    """Return the folder of a model that MLflow names, `models:/umemma-digits@champion`; anything else as it is."""
    if not argument.startswith("models:/"):
        return argument
    try:
        from umemma.tracking import registry
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"{argument} is found by MLflow, and {error.name} is not installed: pip install 'umemma[pipeline]', or give a folder"
        ) from error
    return str(registry.resolved(argument, home()))


if __name__ == "__main__":
    main()
