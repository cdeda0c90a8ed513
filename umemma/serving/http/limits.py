"""What a request may take of the server, and the one way to turn a request down."""

from umemma.settings import Count, Positive, Section


class Limits(Section):
    """Each is an option of `umemma serve`, and named by the answer to a request that meets it."""

    request_bytes: Count = 16 * 2**20
    """bytes of a request's body; no more than that is read"""
    medium_bytes: Count = 8 * 2**20
    """bytes of one picture, sound, video or text: in base64, in a form or on disk"""
    text_chars: Count = 65_536
    """characters of a text that is no modality's own: a number, a path, a key"""
    rows: Count = 256
    """rows in a request, and windows that it is cut into"""
    depth: Count = 8
    """levels of lists and objects within each other"""
    seconds: Positive = 10.0
    """seconds from a request to its answer; its body must arrive within them"""
    requests_at_once: Count = 64
    """requests that are read or answered at a time"""
    waiting_rows: Count = 1024
    """rows that wait for the model"""
    batch_rows: Count = 64
    """rows, of any number of requests, that the model answers together"""
    batch_ms: Positive = 2.0
    """milliseconds that a row waits for others to be answered with"""
    decoders: Count = 2
    """requests whose media are decoded at a time"""


class Refused(Exception):
    """A request that is not answered: HTTP status, a reason of one word for counting, and a sentence for the client.

    A limit is called by its name. With a status of 503 the same request may succeed later.
    """

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.reason, self.sentence = status, reason, sentence


def over(limits: Limits, name: str, what: str) -> Refused:
    """Return the refusal of what is larger than the limit `name`: `what` begins the sentence."""
    return Refused(413, name, f"{what}: at most {getattr(limits, name):,} are taken ({option(name)})")


def busy(limits: Limits, name: str, what: str) -> Refused:
    """Return the refusal of what cannot be done now."""
    return Refused(503, name, f"{what}, at most {getattr(limits, name):,} ({option(name)}): try again later")


def option(name: str) -> str:
    """Return the option of the command that sets a limit."""
    return f"--{name.replace('_', '-')}"
