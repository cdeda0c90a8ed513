"""UPMC Food-101: 90,704 photographs of 101 dishes with the title of its source web page (Wang et al. 2015).

Decisions:

- `layout: titles` reads texts/train_titles.csv and texts/test_titles.csv (image, title, class; the copy of
  BalanceBenchmark starts with the header Image_path,text,label, in any order); validation is `val_share` of training,
  drawn by class with `seed`. `layout: split` reads split.json and text.json of missing_aware_prompts, which name a
  validation set. Photographs of training and validation both lie in images/train.
- Some titles and some photographs are missing. `incomplete: keep` keeps such a sample with the modality it has,
  including unlisted photographs; `reject` rejects it, as the public loaders do. A sample with neither is always
  rejected.
- The class is the part of the image's name before the last `_` (`cheese_plate_717-2.jpg`). A row of the csv with a
  different class is rejected, as is an image whose name does not have this form.
- A label is the index of its class in `dataset.classes`, in any order; class_idx.json, whose order is not alphabetical,
  is not read.

A group is an image. Names such as `cheese_plate_717-2` and `-6` may come from the same page; 25 such pages are in two
splits of the published list, which is left unchanged.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from umemma.data.sample import Rejected, Sample
from umemma.errors import DataError, ParameterError, unknown
from umemma.sources.layouts import listing as listed
from umemma.sources.layouts import lists
from umemma.sources.layouts.listing import File
from umemma.sources.layouts.lists import Row

_NAMES = """
apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap bread_pudding
breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche cheese_plate cheesecake
chicken_curry chicken_quesadilla chicken_wings chocolate_cake chocolate_mousse churros clam_chowder club_sandwich
crab_cakes creme_brulee croque_madame cup_cakes deviled_eggs donuts dumplings edamame eggs_benedict escargots falafel
filet_mignon fish_and_chips foie_gras french_fries french_onion_soup french_toast fried_calamari fried_rice
frozen_yogurt garlic_bread gnocchi greek_salad grilled_cheese_sandwich grilled_salmon guacamole gyoza hamburger
hot_and_sour_soup hot_dog huevos_rancheros hummus ice_cream lasagna lobster_bisque lobster_roll_sandwich
macaroni_and_cheese macarons miso_soup mussels nachos omelette onion_rings oysters pad_thai paella pancakes panna_cotta
peking_duck pho pizza pork_chop poutine prime_rib pulled_pork_sandwich ramen ravioli red_velvet_cake risotto samosa
sashimi scallops seaweed_salad shrimp_and_grits spaghetti_bolognese spaghetti_carbonara spring_rolls steak
strawberry_shortcake sushi tacos takoyaki tiramisu tuna_tartare waffles
"""
CLASSES = tuple(_NAMES.split())
_HEADER = {"image_path": 0, "text": 1, "label": 2}
_NAME = re.compile(r"([a-z_]+)_[\d-]+\.jpg")
_FOLDERS = {"train": "train", "val": "train", "test": "test"}
_Titled = tuple[str, str, str, str, str]  # split, file and line, image name, title, class


class Adapter:
    """Random access to Food-101. Raises DataError for an invalid list."""

    modalities = ("image", "text")

    def __init__(
        self,
        root: Path,
        *,
        folder: str = "food101",
        layout: str = "titles",
        classes: Sequence[str] = CLASSES,
        incomplete: str = "keep",
        seed: int = 0,
        val_share: float = 0.1,
    ) -> None:
        for key, value, choices in (
            ("layout", layout, ("titles", "split")),
            ("incomplete", incomplete, ("keep", "reject")),
        ):
            if value not in choices:
                raise ParameterError(unknown(f"dataset.options.{key}", "choice", value, choices))
        marker = "split.json" if layout == "split" else "texts/train_titles.csv"
        self._place = lists.folder_with(root, folder, [marker])
        self.classes = lists.in_order(classes, CLASSES, "Food-101")
        titled = list((_of_split if layout == "split" else _of_titles)(self._place))
        images = {part: _images(self._place / "images" / part) for part in ("train", "test")}
        if incomplete == "keep" and layout == "titles":
            titled += _unlisted(titled, images)
        rows, self.rejected = _rows(titled, images, self.classes, is_whole_only=incomplete == "reject")
        if layout == "titles":
            rows = lists.held_out(rows, share=val_share, seed=seed)
        self._rows = lists.by_split(rows, self.rejected)
        self.num_samples: Mapping[str, int] = {split: len(split_rows) for split, split_rows in self._rows.items()}

    def sample(self, split: str, index: int) -> Sample:
        """Read sample `index` of `split`. Raises BadSample if its photograph is empty or cannot be read."""
        return listed.sample(self._rows[split][index], self._files)

    def _files(self, row: Row) -> tuple[int, dict[str, File]]:
        image, title = row.fields
        files = {"image": File("jpg", lists.named(self._place / image), self._place / image)} if image else {}
        if title:  # lone surrogates are judged by the text expectations, not here
            files["text"] = File("txt", title.encode("utf-8", "surrogatepass"), row.file)
        return row.label, files


def _of_titles(folder: Path) -> Iterator[_Titled]:
    for split in ("train", "test"):
        path = folder / f"texts/{split}_titles.csv"
        reader, columns = csv.reader(io.StringIO(lists.text(path), newline=""), strict=True), [0, 1, 2]
        try:
            for number, fields in enumerate(reader):
                where = f"{path}:{reader.line_num}"
                if len(fields) != 3:
                    raise DataError(f"{where}: {len(fields)} columns, not image, title and class separated by commas")
                if number == 0 and {field.lower() for field in fields} == _HEADER.keys():
                    columns = sorted(range(3), key=lambda column: _HEADER[fields[column].lower()])
                    continue
                image, title, name = (fields[column] for column in columns)
                yield split, where, image.rsplit("/", 1)[-1], title.strip(), name
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: {error}") from error


def _of_split(folder: Path) -> Iterator[_Titled]:
    names, titles = lists.mapping(folder / "split.json"), lists.mapping(folder / "text.json")
    if set(names) != set(_FOLDERS):
        raise DataError(f"{folder}/split.json holds {', '.join(map(str, names))}, not train, val and test")
    for split in _FOLDERS:
        for image in names[split]:
            title = titles.get(image) or ""
            title = title if isinstance(title, str) else " ".join(map(str, title))
            yield split, f"{folder}/split.json", str(image), title.strip(), str(image).rpartition("_")[0]


def _images(folder: Path) -> set[str]:
    """Return `<class>/<image>` of all photographs in a folder. Raises DataError if it does not exist."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; photographs must be in images/train/<class>/ and images/test/<class>/")
    return {
        f"{class_folder.name}/{path.name}"
        for class_folder in folder.iterdir()
        if class_folder.is_dir()
        for path in class_folder.glob("*.jpg")
    }


def _unlisted(titled: list[_Titled], images: Mapping[str, set[str]]) -> list[_Titled]:
    """Return unlisted photographs as rows without a title."""
    listed = {(split, f"{image.rpartition('_')[0]}/{image}") for split, _, image, _, _ in titled}
    return [
        (split, f"images/{split}/{path}", path.split("/")[1], "", path.split("/")[0])
        for split, paths in images.items()
        for path in sorted(paths)
        if (split, path) not in listed
    ]


def _rows(
    titled: list[_Titled], images: Mapping[str, set[str]], classes: tuple[str, ...], *, is_whole_only: bool
) -> tuple[list[Row], list[Rejected]]:
    """Return the kept rows, with fields (path of the photograph or '', title or ''), and the rejected ones."""
    rows, rejected = [], []
    for split, where, image, title, name in titled:
        parts = _NAME.fullmatch(image)
        if not parts or parts[1] not in CLASSES:
            rejected.append(Rejected(image, split, where, "is no <class>_<number>.jpg of a class of Food-101"))
            continue
        key, path = image.removesuffix(".jpg"), f"{parts[1]}/{image}"
        has_image = path in images[_FOLDERS[split]]
        if name != parts[1]:
            rejected.append(Rejected(key, split, where, f"the row's class is {name}, its image's {parts[1]}"))
        elif not (has_image and title) and (is_whole_only or not (has_image or title)):
            lacking = " and no ".join(["title"] * (not title) + ["photograph"] * (not has_image))
            rejected.append(Rejected(key, split, where, f"has no {lacking}"))
        else:
            place = f"images/{_FOLDERS[split]}/{path}" if has_image else ""
            rows.append(Row(key, split, classes.index(name), key, where, (place, title)))
    kept, repeats = lists.once(rows)
    return kept, rejected + repeats
