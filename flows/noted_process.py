"""The child's side of a service: `python -P flows/noted_process.py NOTE COMMAND ...` writes its note, then becomes the command.

Its parent could be killed between starting it and writing that: then nobody would know whose the process is, and its
port would stay taken.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # -P leaves it out

from flows.services import start_time
from umemma.files import written_whole


def main() -> None:
    """Write process id and start time, whole, which stay those of the command."""
    note, *command = sys.argv[1:]
    with written_whole(Path(note)) as temporary:
        temporary.write_text(json.dumps({"pid": os.getpid(), "started": start_time(os.getpid())}))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
