"""What lets a reader in, left out of text: passwords and tokens in addresses, and what the environment calls a secret."""

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|TOKEN|SECRET|CREDENTIAL|API_?KEY|ACCESS_KEY|AUTH_STRING", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@]*(?:@[^\s/@]*)*@")
_IN_QUERY = re.compile(r"(?i)([?&;](?:[\w.-]*(?:password|passwd|token|secret|key|sig(?:nature)?))=)[^&\s\"')]+")
_LEAST = 6  # characters; a shorter value, such as `true`, is a word of any text


def redacted(text: object) -> str:
    """Return a text without `user:password@` of an address, secrets in its query, and secrets of the environment.

    Those are the values of variables whose names say so, and the passwords of addresses in any variable.
    """
    result = _IN_QUERY.sub(r"\1***", _IN_ADDRESS.sub("***@", str(text)))
    for secret in sorted(set(_secrets()), key=len, reverse=True):
        result = result.replace(secret, "***")
    return result


def _secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        passwords = [found[0][:-1].partition(":")[2] for found in _IN_ADDRESS.finditer(value)]
        if _SECRET_NAME.search(name):
            passwords += [value, value.partition(":")[2] if "AUTH" in name.upper() else ""]
        for password in passwords:
            yield from (form for form in (password, unquote(password)) if len(form) >= _LEAST)
