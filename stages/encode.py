"""Arrays -> their features from a frozen backbone, computed once (data/features/<data set>/<modality>)."""

from pathlib import Path

from stages import modality_of, run
from umemma import parameters
from umemma.files import read_json, written_whole
from umemma.launchers.launcher import Launcher
from umemma.models import feature_cache
from umemma.training.settings import Compute


def encode(
    arrays: Path,
    description: Path,
    modality: str,
    folder: Path,
    compute: Compute,
    *,
    launcher: Launcher = feature_cache.ALONE,
) -> str:
    """Write the features into `folder`, atomically; return a sentence about them."""
    backbone = read_json(description)
    with written_whole(folder) as temporary:
        facts = feature_cache.write(arrays, modality, backbone, temporary, set_up=compute.set_up, launcher=launcher)
    return f"{facts['present']} encoded, {facts['shape'][0]} features of {backbone['settings']['name']}"


def main() -> None:
    """Read the parameters and encode."""
    modality = modality_of(__doc__)
    settings = parameters.read()
    name = settings.dataset.name
    features = Path("data/features") / name
    sentence = encode(
        Path("data/arrays") / name / modality,
        features / "_frozen" / f"{modality}.json",
        modality,
        features / modality,
        settings.compute,
        launcher=feature_cache.ALONE if settings.compute.launcher == "local" else settings.launcher(),
    )
    print(f"{modality}: {sentence}")


if __name__ == "__main__":
    run(main)
