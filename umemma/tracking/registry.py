"""MLflow's model registry: the versions of a data set's model, which of them is in use, and what each was judged to be.

Each change is one transaction of MLflow's, and `champion` moves in one of them: a process that is killed leaves the old
champion or the new one, and the same command completes what is left.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256 as digest_of
from pathlib import Path

import mlflow
from mlflow.artifacts import download_artifacts
from mlflow.models import Model as MlflowModel
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from umemma.errors import DataError, some
from umemma.files import sha256, written_whole
from umemma.redaction import redacted
from umemma.serving import folder as model_folder
from umemma.tracking import store
from umemma.tracking.address import STORE, address
from umemma.tracking.check import TrackingError
from umemma.tracking.log import MODEL

CHAMPION, CHALLENGER = "champion", "challenger"
SCHEME = "models:/"
PREDICTIONS = "umemma.predictions"  # tag: the sha256 of the predictions by which a version is compared
PREDICTIONS_FILE = "predictions.safetensors"
_FOLDER = "promotion"  # among the artifacts of the run


@dataclass(frozen=True)
class Version:
    """A version, as it was when it was read. `run` is MLflow's run that has logged the model."""

    number: str
    run: str
    tags: Mapping[str, str]
    aliases: frozenset[str]

    @property
    def digest(self) -> str:
        """The name of its model folder."""
        return self.tags[MODEL]


@contextmanager
def opened(root: Path, dataset: str) -> Iterator["Registry"]:
    """Open the registry of a project; other processes that use the same SQLite file wait. Raises TrackingError."""
    with store.opened(root) as client:
        yield Registry(client, dataset)


class Registry:
    """The registered model of a data set."""

    def __init__(self, client: mlflow.MlflowClient, dataset: str) -> None:
        self._client, self._dataset = client, dataset
        self.name = f"umemma-{dataset}"

    def versions(self) -> list[Version]:
        """Return the versions that were registered here, the newest first."""
        if not self._is_known():
            return []
        by_number: dict[str, set[str]] = {}
        for alias, number in self._aliases().items():
            by_number.setdefault(number, set()).add(alias)
        found = self._client.search_model_versions(f"name = '{self.name}'")
        versions = [
            Version(str(one.version), str(one.run_id), one.tags, frozenset(by_number.get(str(one.version), ())))
            for one in found
            if MODEL in one.tags
        ]
        return sorted(versions, key=lambda one: -int(one.number))

    def champion(self) -> Version | None:
        """Return the version in use. Raises DataError for one of which nothing is known."""
        versions = self.versions()
        number = self._aliases().get(CHAMPION) if versions else None
        found = next((one for one in versions if one.number == number), None)
        if number is not None and found is None:
            raise DataError(
                f"{self.name} version {number} is the {CHAMPION}, but `make promote` did not register it, so there is nothing to "
                "compare with: take the alias from it on its page (`make ui`), then promote again"
            )
        return found

    def registered(self, digest: str, predictions: Path, tags: Mapping[str, str]) -> Version:
        """Return the version of a model folder, made if there is none, from the MLflow model that its run has logged.

        The file of predictions that it is compared by, a PREDICTIONS_FILE, is logged first: a version that is there has them.
        """
        if existing := self._with(digest):
            return existing
        run, model = self._logged(digest)
        self._client.log_artifact(run, str(predictions), _FOLDER)
        if not self._is_known():
            about = (
                f"Models of the data set {self._dataset}. `{CHAMPION}` is in use; `{CHALLENGER}` was the last to try."
            )
            self._client.create_registered_model(self.name, description=about)
        known = {MODEL: digest, PREDICTIONS: sha256(predictions), **tags}
        self._client.create_model_version(self.name, f"{SCHEME}{model}", run, known, model_id=model)
        made = self._with(digest)
        assert made is not None, "the version was made"
        return made

    def predictions(self, version: Version, folder: Path) -> Path:
        """Fetch the predictions of a version into a folder. Raises DataError if they are gone or not what they were."""
        path = f"{_FOLDER}/{PREDICTIONS_FILE}"
        try:
            found = Path(self._client.download_artifacts(version.run, path, str(folder)))
        except store.REFUSALS as error:
            raise DataError(f"{self._called(version)}: its run has no {path} any more ({redacted(error)})") from None
        if sha256(found) != version.tags[PREDICTIONS]:
            raise DataError(f"{self._called(version)}: {path} of its run is not what was registered")
        return found

    def folder(self, version: Version, root: Path) -> Path:
        """Return the model folder of a version, as `resolved` does."""
        return _folder(self._client, f"{SCHEME}{self.name}/{version.number}", root)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Say something of a version."""
        for name, value in tags.items():
            self._client.set_model_version_tag(self.name, version.number, name, value)

    def describe(self, version: Version, text: str) -> None:
        """Set the text, Markdown, on the page of a version."""
        self._client.update_model_version(self.name, version.number, text)

    def give(self, alias: str, version: Version) -> None:
        """Give an alias to a version; it leaves the one that had it."""
        self._client.set_registered_model_alias(self.name, alias, version.number)

    def take(self, alias: str, version: Version) -> None:
        """Take an alias from a version, if it has it."""
        if self._aliases().get(alias) == version.number:
            self._client.delete_registered_model_alias(self.name, alias)

    def _aliases(self) -> dict[str, str]:
        """Return {alias: number}; MLflow's database returns whole numbers, its server texts."""
        aliases = self._client.get_registered_model(self.name).aliases
        return {alias: str(number) for alias, number in aliases.items()}

    def _with(self, digest: str) -> Version | None:
        return next((one for one in self.versions() if one.digest == digest), None)

    def _is_known(self) -> bool:
        return bool(self._client.search_registered_models(f"name = '{self.name}'", max_results=1))

    def _logged(self, digest: str) -> tuple[str, str]:
        """Return the newest run that has logged this model folder, and MLflow's id of the model."""
        experiment = self._client.get_experiment_by_name(self._dataset)
        ids = [] if experiment is None else [experiment.experiment_id]
        runs = self._client.search_runs(ids, f"tags.`{MODEL}` = '{digest}'") if ids else []
        for run in runs:
            if models := self._client.search_logged_models(ids, f"source_run_id = '{run.info.run_id}'"):
                return str(run.info.run_id), str(models[0].model_id)
        raise TrackingError(
            f"no run in MLflow's experiment {self._dataset} has the model {digest[:12]}: `make log` logs the last run, and those "
            "that are kept"
        )

    def _called(self, version: Version) -> str:
        return f"{self.name} version {version.number}"


def resolved(uri: str, root: Path) -> Path:
    """Return the model folder behind `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/m-ID`.

    Where MLflow's files lie on this machine it is the folder itself, else a copy in `.mlflow/fetched` of the project.
    Raises TrackingError.
    """
    with store.opened_to_read(root) as client:
        return _folder(client, uri, root)


def _folder(client: mlflow.MlflowClient, uri: str, root: Path) -> Path:
    location = _location(client, uri)
    repository = get_artifact_repository(location)
    model = MlflowModel.load(repository.download_artifacts("MLmodel"))
    try:
        below = model.flavors["python_function"]["artifacts"]["folder"]["path"]
    except (KeyError, TypeError):
        raise TrackingError(f"{uri} is no model that umemma has logged: it has no model folder") from None
    if isinstance(repository, LocalArtifactRepository):
        return Path(repository.download_artifacts(below))
    fetched = root / STORE / "fetched" / digest_of(location.encode()).hexdigest()[:16]
    if not fetched.exists():
        with written_whole(fetched) as temporary, tempfile.TemporaryDirectory(dir=fetched.parent) as place:
            shutil.move(download_artifacts(f"{location}/{below}", dst_path=place), temporary)
    model_folder.verify(fetched)
    return fetched


def _location(client: mlflow.MlflowClient, uri: str) -> str:
    """Return where the files of an MLflow model lie."""
    name, _, alias = uri.removeprefix(SCHEME).partition("@")
    name, _, number = name.partition("/")
    if not (alias or number):
        return str(client.get_logged_model(name).artifact_location)
    known = {one.name for one in client.search_registered_models(f"name = '{name}'")} if "'" not in name else set()
    if name not in known:
        there = some(one.name for one in client.search_registered_models())
        raise TrackingError(
            f"{uri}: MLflow's registry at {redacted(address(Path.cwd()))} has no model {name}"
            + (f"; it has {there}" if there else "; `make promote` registers the first")
        )
    if alias:
        aliases = client.get_registered_model(name).aliases
        if alias not in aliases:
            raise TrackingError(f"{uri}: no version of {name} is its {alias}; there are {some(aliases) or 'none'}")
        number = str(aliases[alias])
    return str(client.get_model_version_download_uri(name, number))
