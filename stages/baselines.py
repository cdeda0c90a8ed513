"""Arrays -> what a sceptic would try first (data/baselines): `linear` and `trees`, fitted to pooled columns.

They need no encoder, so this stage waits for no tower, and no arm, setting of fusion or encoder that is trained makes it
stale. Of a modality whose network is frozen they take its features, as the tower does.
"""

from pathlib import Path

from stages import MANIFEST, NAMES, _arrays, _context, _predictions, run
from umemma import parameters
from umemma.data import arrays, manifest
from umemma.data.sample import SPLITS
from umemma.files import write_json, written_whole
from umemma.prediction import predictions
from umemma.training import baseline
from umemma.training.pooled import pooled
from umemma.training.samples import Samples


def main() -> None:
    """Fit those that `baselines` names; write their predictions on validation and test data."""
    settings = parameters.read()
    num_classes, folders = len(settings.dataset.classes), _arrays.folders(settings.dataset)
    targets = manifest.targets(MANIFEST, num_classes)
    media = {split: arrays.load(folders, split, targets) for split in SPLITS}
    samples = Samples(media=media, compute=settings.compute, num_classes=num_classes, seed=settings.seed)
    common = {
        "seed": settings.seed,
        "missing_rate": None,
        "budget": baseline.budget(samples),
        "fingerprint": _context.fingerprint(settings, targets),
    }
    with written_whole(Path("data/baselines")) as temporary:
        write_json(temporary / NAMES, list(settings.baselines))
        if settings.baselines:
            samples = pooled(samples)
        for name in settings.baselines:
            model = baseline.fitted(name, samples)
            predicted = _predictions.predictions_of(model, samples, targets, settings.evaluate, features=None)
            predictions.write(temporary / f"{name}.safetensors", predicted, {**common, "arm": name})


if __name__ == "__main__":
    run(main)
