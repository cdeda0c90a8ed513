"""A lock of the kernel on an open file: it ends with the process that holds it, however that ends."""

import fcntl
from typing import IO, Any


def obtained(file: IO[Any]) -> bool:
    """Lock an open file; return whether it was free. It is free again once it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
