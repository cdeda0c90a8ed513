"""PhysioNet 2012: stays as published, in folders and archives, with their holes, and what is impossible in them."""

import io
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from tests import trees
from tests.conftest import ROOT
from tests.trees import GENUINE
from umemma import composition, parameters
from umemma.data import shard_writer, shards
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.physionet2012 import GROUPS, STATIC, Adapter


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stays")
    trees.physionet2012(folder / "physionet2012")
    return folder


@pytest.fixture
def root(built, tmp_path):
    return shutil.copytree(built, tmp_path / "stays")


def array(member):
    return np.load(io.BytesIO(member))


def every(adapter):
    return [adapter.sample(split, i) for split, count in adapter.num_samples.items() for i in range(count)]


def rewrite(root, lines):
    """Write the first stay of the test split anew; return the adapter's sample of it."""
    key = Adapter(root).sample("test", 0).key
    path = next((root / "physionet2012").glob(f"set-*/{key}.txt"))
    path.write_text("\n".join(["Time,Parameter,Value", *lines]) + "\n")
    return Adapter(root).sample("test", 0)


def test_a_group_is_missing_exactly_where_none_of_its_variables_was_measured(built):
    for sample in every(Adapter(built)):
        text = next((built / "physionet2012").glob(f"set-*/{sample.key}.txt")).read_text()
        names = {line.split(",")[1] for line in text.splitlines()[7:]}  # after the static ones
        assert set(sample.modalities) == {"static"} | {group for group, own in GROUPS.items() if names & set(own)}


def test_measurements_are_kept_as_they_were_written_in_order_of_time(root):
    sample = rewrite(root, ["00:00,RecordID,1", "01:10,HR,80", "00:05,Temp,36.5", "47:59,HR,91", "10:00,Urine,0"])
    assert sample.modalities == ("vitals", "urine")
    order = list(GROUPS["vitals"])
    np.testing.assert_allclose(
        array(sample.members["vitals.events"]),
        [[5, order.index("Temp"), 36.5], [70, order.index("HR"), 80], [2879, order.index("HR"), 91]],
    )
    assert array(sample.members["urine.events"]).tolist() == [[600, 0, 0]]


def test_what_static_lacks_is_nan_and_the_ward_four_numbers(root):
    lines = [
        "00:00,Age,71",
        "00:00,Gender,1",
        "00:00,Height,-1",
        "00:00,ICUType,3",
        "00:00,Weight,80",
        "09:00,Weight,82",
    ]
    sample = rewrite(root, lines)
    np.testing.assert_equal(array(sample.members["static.npy"]), [71, 1, np.nan, 80, 0, 0, 1, 0])
    assert array(sample.members["vitals.events"]).tolist() == [[540, list(GROUPS["vitals"]).index("Weight"), 82]]
    assert not sample.dropped


def test_an_impossible_value_is_dropped_and_counted_and_so_is_a_row_without_a_variable(root):
    lines = ["00:00,Height,462.3", "00:00,Weight,-1", "01:00,pH,735", "01:00,Temp,-17.8", "02:00,,1.8", "03:00,HR,70"]
    sample = rewrite(root, lines)
    assert sample.modalities == ("vitals",)
    assert sample.dropped == {
        "impossible Height": 1, "impossible pH": 1, "impossible Temp": 1, "no name of a variable": 1
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.gz", ".zip"])
def test_a_set_may_be_an_archive(root, suffix):
    unpacked = every(Adapter(root))
    for folder in sorted((root / "physionet2012").glob("set-?")):
        archive = folder.with_name(folder.name + suffix)
        if suffix == ".zip":
            with zipfile.ZipFile(archive, "w") as file:
                for path in folder.iterdir():
                    file.write(path, f"{folder.name}/{path.name}")
        else:
            with tarfile.open(archive, f"w:{suffix[-2:]}") as file:
                file.add(folder, folder.name)
        shutil.rmtree(folder)
    assert every(Adapter(root)) == unpacked
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"set-c.* is no readable archive"):
        Adapter(root)


def test_the_label_is_death_in_hospital_and_the_official_splits_are_a_choice(built):
    adapter = Adapter(built, split=2)
    died = {}
    for path in (built / "physionet2012").glob("Outcomes-?.txt"):
        died |= {line.split(",")[0]: int(line.split(",")[-1]) for line in path.read_text().splitlines()[1:]}
    assert {sample.key: sample.label for sample in every(adapter)}.items() <= died.items()
    keys = {
        split: [{sample.key for sample in every(Adapter(built, split=split)) if sample.split == part} for part in ("train", "test")]
        for split in (1, 2)
    }  # fmt: skip
    assert keys[1] != keys[2]
    assert not adapter.rejected


def test_without_the_list_of_splits_one_is_drawn_and_the_error_says_how(root):
    (root / "physionet2012/raindrop_splits.csv").unlink()
    with pytest.raises(DataError, match=r"holds no raindrop_splits\.csv\.xz.*dataset\.options\.split=null draws"):
        Adapter(root)
    drawn = Adapter(root, split=None)
    assert sum(drawn.num_samples.values()) == 120
    assert {sample.label for sample in every(drawn) if sample.split == "test"} == {0, 1}
    assert every(drawn) != every(Adapter(root, split=None, seed=1))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("00:07,HR", "line 2: '00:07,HR' is no time, parameter, value"),
        ("7,HR,80", "is no time, parameter, value"),
        ("00:07,HR,high", "is no time, parameter, value"),
        ("00:07,HR,nan", "not within 48 hours or no number"),
        ("49:00,HR,80", "not within 48 hours"),
    ],
)
def test_a_damaged_line_makes_a_bad_sample_that_names_it(root, line, reason):
    with pytest.raises(BadSample, match=reason) as caught:
        rewrite(root, [line])
    assert caught.value.key


def test_dropped_values_are_counted_over_all_stays_in_the_index(root, tmp_path):
    rewrite(root, ["00:00,Age,54", "01:00,pH,735", "02:00,pH,0"])
    index = shard_writer.write(
        Adapter(root),
        tmp_path / "shards",
        dataset="stays",
        task="single_label",
        classes=["no", "yes"],
        samples_per_shard=9,
    )
    assert index.dropped == shards.verify(tmp_path / "shards").dropped == {"impossible pH": 2}


def test_a_stay_that_is_in_one_list_only_is_rejected_with_the_reason(root):
    base = root / "physionet2012"
    first, second = (Adapter(root).sample("train", i).key for i in (0, 1))
    next(base.glob(f"set-*/{first}.txt")).unlink()
    for path in base.glob("Outcomes-?.txt"):
        path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if not line.startswith(second)))
    adapter = Adapter(root)
    assert {(row.key, row.split, row.reason) for row in adapter.rejected} == {
        (first, "train", "its outcome is known, but it is in no set"),
        (second, "train", "its outcome is not known"),
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"split": 6}, "6 is none of 1, 2, 3, 4, 5 and null"), ({"sets": ["d"]}, "no list of a, b, c")],
)
def test_an_option_that_is_none_is_named(built, options, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Adapter(built, **options)


def test_the_parameters_name_the_variables_in_the_adapters_order():
    settings = parameters.check(composition.composed(ROOT / "conf", ["dataset=physionet2012"]), "conf").dataset
    named = {name: modality.decode.get("variables") for name, modality in settings.modalities.items()}
    assert named == {"static": None} | {group: list(variables) for group, variables in GROUPS.items()}


@pytest.mark.skipif(not (GENUINE / "physionet2012").is_dir(), reason="PhysioNet 2012 is not on this machine")
def test_the_published_sets_have_9590_1199_and_1199_stays_with_14_percent_deaths():
    adapter = Adapter(GENUINE)
    assert adapter.num_samples == {"train": 9_590, "val": 1_199, "test": 1_199}
    tests = [adapter.sample("test", i) for i in range(1_199)]
    assert np.mean([sample.label for sample in tests]) == pytest.approx(0.142, abs=0.02)
    present = {group: np.mean([group in sample.modalities for sample in tests]) for group in GROUPS}
    assert present["liver"] == pytest.approx(0.54, abs=0.05)
    assert present["cardiac"] == pytest.approx(0.26, abs=0.05)
    assert len(array(tests[0].members["static.npy"])) == len(STATIC) - 1 + 4
