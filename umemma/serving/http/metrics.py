"""What the server counts, for Prometheus.

Names of patterns are those that were measured, `nothing` and `other`: a client cannot make new ones without end.
"""

from collections.abc import Collection
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from umemma.serving.answer import Answer
from umemma.serving.model import Model

NOTHING, OTHER = "nothing", "other"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 3, 4, 5, 7, 10, 20, 50, 100)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, model: Model) -> None:
        self._patterns: Collection[str] = model.measured.patterns.keys()
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "umemma", "registry": self._registry}
        self._answers = Counter("answers", "Rows answered, by the modalities that were used", ["pattern"], **own)
        self._seconds = Histogram(
            "answer_seconds", "From a request to its answer, a row each", ["pattern"], buckets=_SECONDS, **own
        )
        self._set_size = Histogram("set_size", "Classes in a prediction set", ["pattern"], buckets=_SIZES, **own)
        self._unusable = Counter("unusable_modalities", "Modalities sent that could not be used", ["modality"], **own)
        self._refused = Counter("refused_requests", "Requests not answered, by reason", ["reason"], **own)
        self.logged = Counter("logged_answers", "Answers written to the log", **own)
        self.unlogged = Counter("unlogged_answers", "Answers that are lost to the log, by reason", ["reason"], **own)
        self.batch_rows = Histogram("batch_rows", "Rows that the model answered together", buckets=_ROWS, **own)
        self.waiting_rows = Gauge("waiting_rows", "Rows that wait for the model", **own)
        self.requests = Gauge("requests", "Requests that are read or answered now", **own)
        about = Gauge("model_info", "The model that answers", ["dataset", "digest", "umemma"], **own)
        about.labels(model.facts.dataset, model.digest, model.facts.umemma).set(1)

    def answered(self, answers: Collection[Answer], seconds: float) -> None:
        """Count the answers of one request."""
        for answer in answers:
            name = "+".join(answer.used) or NOTHING
            pattern = name if name in self._patterns or name == NOTHING else OTHER
            self._answers.labels(pattern).inc()
            self._seconds.labels(pattern).observe(seconds)
            self._set_size.labels(pattern).observe(len(answer.set))
            for modality in answer.rejected:
                self._unusable.labels(modality).inc()

    def refused(self, reason: str) -> None:
        """Count a request that is not answered."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """Return all of it in Prometheus' format."""
        return generate_latest(self._registry)
