"""Reports as the pipeline would write them, computed from a formula: any modalities, with or without other arms."""

import hashlib
import itertools
import math
import operator
import random

from umemma.missingness import panel, pattern_name, probability
from umemma.reporting.data_summary import Summary
from umemma.reporting.reports import Reports
from umemma.reporting.results import Accounting, Classes, Gate, Gates, Masks, Robustness, SplitMasks, TowerResult

CLASSES = ["zero", "one", "two", "three", '"&']
ENTROPY = math.log(5)
ARMS = ["ume-mma", "joint", "joint+mma", "ump", "ensemble", "frozen", "early", "specialist", "uni"]
PARTS = {"encoder": 0.53, "family": 0.31, "adaptation": 0.16}  # shares of the failure
AT_RATES = {"best_known": 0.9012, "used": 0.8411, "failed": 0.0601}
HOLES = {"n": 9000, "share": 0.7321, "least": 0.0043, "label": 0.0124, "seen": 0.0211, "seen_given_label": 0.4567} | {
    "group": None
}
WEIGHTED = {"given": [], "n_effective": 1234.5, "why": None}
WITHHELD = {"given": [], "n_effective": 987.6, "bounds": [0.5, 0.9]} | {
    "why": "holes of image depend on more than the label"
}
GRID = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
TWO = (("image", "audio"), (0.63, 0.52))
FOUR = (("image", "audio", "inertial", "text"), (0.55, 0.42, 0.2, 0.33))
TEN = (tuple(f"group {number}" for number in range(10)), tuple(0.05 + 0.03 * number for number in range(10)))
HOSTILE = (("</script><b>bold</b>", 'sound"&'), (0.6, 0.5))


def sample(kind, *, alone=False, passed=False, several=False):
    """Return the reports of TWO, FOUR, TEN or HOSTILE; `alone`: only this run, with null wherever null is allowed.

    `several`: several labels a sample, so that F1 stands beside accuracy.
    """
    modalities, worth = kind
    results = robustness(modalities, worth)
    account = accounting(modalities, worth, results, alone=alone)
    if several:
        _with_f1(results, account)
    return Reports(
        Robustness.model_validate(results),
        Accounting.model_validate(account),
        gates(passed or alone),
        Masks(protocol=None, missing_rate=None, seed=None, splits={}) if alone else masks(modalities),
        classes(several),
        data(alone, modalities),
        towers(modalities, alone),
    )


def _with_f1(results, account):
    """Add F1 wherever multi-label reports have it; below accuracy, as it is with rare labels."""
    account["task"] = "multi_label"
    under = [row["scores"] for row in results["named_protocols"] if row["scores"]]
    results_rows = [*results["patterns"].values(), *results["kept"].values(), *results["rates"], *results["protocols"]]
    for row in [*results_rows, *under]:
        row |= {"f1_micro": round(row["accuracy"] - 0.2, 6), "f1_macro": round(row["accuracy"] - 0.31, 6)}
        if "uni" not in row and "protocol" not in row:
            row |= {"hits": 2.5 * row["f1_micro"], "labels": 2.5}
        if "uni" in row:
            row |= {"auroc_micro": row["auroc"], "auprc_micro": row["auprc"]}
            row |= {"uni_f1_micro": round(row["uni"] - 0.2, 6), "uni_f1_macro": round(row["uni"] - 0.31, 6)}
    for name, row in account["metrics"].items():
        row |= {key: interval(results["patterns"][name][key]) for key in ("f1_micro", "f1_macro")}
    for model_ in account["models"]:
        for row in model_["patterns"].values():
            row |= {"f1_micro": row["accuracy"] - 0.2, "f1_macro": row["accuracy"] - 0.31}
    for arm in account["arms"]:
        for row in arm["patterns"].values():
            row |= {
                key: {**row["accuracy"], "mean": row["accuracy"]["mean"] - less}
                for key, less in (("f1_micro", 0.2), ("f1_macro", 0.31))
            }


def interval(value, half=0.012):
    return {"value": round(value, 6), "low": round(value - half, 6), "high": round(value + half, 6)}


def strength(pattern, worth):
    """Return the share of the label's entropy that these modalities hold; less than their sum."""
    return 1 - math.prod(1 - value for value, is_present in zip(worth, pattern, strict=True) if is_present)


def holes(modalities):
    """Return how many of the 10,000 test samples have exactly each pattern, the empty one too."""
    others = [*panel(len(modalities))[1:], (False,) * len(modalities)]
    rare = dict.fromkeys(others, min(200, 5_000 // len(others)))
    return {(True,) * len(modalities): 10_000 - sum(rare.values()), **rare}


def robustness(modalities, worth):
    results = {}
    for pattern in [*panel(len(modalities)), (False,) * len(modalities)]:
        share = strength(pattern, worth)
        results[pattern] = {
            "accuracy": round(0.2 + 0.78 * share, 6),
            "cross_entropy": round(ENTROPY * (1 - 0.97 * share), 6),
        }
    rates = []
    num = len(modalities)
    alone = [tuple(rate * (number == m) for number in range(num)) for m in range(num) for rate in GRID]
    for rate in dict.fromkeys([*((rate,) * num for rate in GRID), *alone]):
        shares = {pattern: probability(pattern, rate) for pattern in results}
        if sum(shares.values()) < 1 - 1e-9:
            continue  # a pattern that is not in the panel can occur
        expected = {
            key: round(sum(shares[pattern] * results[pattern][key] for pattern in results), 6)
            for key in ("accuracy", "cross_entropy")
        }
        rates.append({"missing_rate": dict(zip(modalities, rate, strict=True)), **expected})
    rows = {}
    for pattern in panel(len(modalities)):
        value, tower = max(
            (w, name) for w, name, is_present in zip(worth, modalities, pattern, strict=True) if is_present
        )
        rows[pattern_name(pattern, modalities)] = {
            "n": sum(count for has, count in holes(modalities).items() if all(map(operator.le, pattern, has))),
            **results[pattern],
            "uni": round(0.19 + 0.78 * value, 6),
            "uni_tower": tower,
            **ranked(strength(pattern, worth)),
        }
    spent = {name: 165000 + 55000 * number for number, name in enumerate(modalities)}
    return {
        "dataset": {"name": "toy", "fingerprint": "ab12" * 16, "n": {"train": 55000, "val": 5000, "test": 10000}},
        "arm": "ume-mma",
        "seed": 0,
        "training": {
            "protocol": "independent",
            "missing_rate": dict.fromkeys(modalities, 0.5),
            "head": "sum_logits",
            "substitute": "none",
            "substitute_at": "feature",
        },
        "budget": {
            "unit": "training samples seen by an encoder",
            "pretrain": spent,
            "fuse": 110000,
            "total": 110000 + sum(spent.values()),
            "moved": {f"encoders.{modalities[0]}": 0.0021, "head": 0.34},
        },
        "classes": CLASSES,
        "patterns": rows,
        "kept": {pattern_name(pattern, modalities): dict(row) for pattern, row in results.items()},
        "rates": rates,
        "protocols": [
            {
                "protocol": protocol,
                "missing": missing,
                "rate": rate,
                "accuracy": 0.7123 - rate / 10,
                "cross_entropy": 0.8123 + rate / 10,
            }
            for protocol in ("absent", "balanced")
            for missing in [*modalities, "every modality"]
            for rate in (0.5, 0.9)
        ],
        "named_protocols": [
            {
                "protocol": f"incomplete {rate}",
                "missing": dict.fromkeys(modalities, rate / 190),
                "incomplete": rate / 100,
                "sets": len(results),
                "of_sets": len(results) + rate,
                "scores": {"accuracy": 0.6123 - rate / 1000, "cross_entropy": 0.9123 + rate / 1000},
                "auroc": 0.8123,
                "auprc": 0.5123,
                "why": None,
            }
            for rate in (50, 70)
        ]
        + [
            {
                "protocol": f"{modalities[0]} 30",
                "missing": {name: 0.7 * (name == modalities[0]) for name in modalities},
                "incomplete": 0.7,
                "sets": 2,
                "of_sets": 2,
                "scores": None,
                "auroc": None,
                "auprc": None,
                "why": "1 of 2 sets of modalities that it leaves were not evaluated",
            }
        ],
    }


def ranked(share):
    auroc, auprc = round(0.55 + 0.4 * share, 6), round(0.3 + 0.6 * share, 6)
    return {
        "auroc": auroc,
        "auprc": auprc,
        "auroc_by_class": {name: round(auroc + 0.004 * number, 6) for number, name in enumerate(CLASSES)},
        "auprc_by_class": {name: round(auprc - 0.007 * number, 6) for number, name in enumerate(CLASSES)},
    }


def accounting(modalities, worth, results, *, alone):
    rng = random.Random(0)
    metrics, information, reliability = {}, {}, {}
    for pattern in panel(len(modalities)):
        name = pattern_name(pattern, modalities)
        row, share = results["patterns"][name], strength(pattern, worth)
        metrics[name] = pattern_metrics(row, share, rng)
        information[name] = pattern_information(row, share, rng, name, alone)
        middles = [(number + 0.5) / 15 for number in range(2, 15)]
        reliability[name] = [
            {"confidence": middle, "accuracy": min(1.0, max(0.0, middle + rng.gauss(0, 0.05))), "share": part}
            for middle, part in zip(middles, [0.02] * 6 + [0.06] * 5 + [0.2, 0.38], strict=True)
        ]
    this_model = model("ume-mma", "ume-mma", 0, metrics, information, modalities, this_run=True)
    if alone:
        this_model["budget"] = None
        this_model["patterns"] = {name: {**row, "utilisation": None} for name, row in this_model["patterns"].items()}
    return {
        "dataset": results["dataset"],
        "arm": "ume-mma",
        "seed": 0,
        "task": "single_label",
        "modalities": list(modalities),
        "classes": CLASSES,
        "entropy": round(ENTROPY, 6),
        "bootstrap": {"replicates": 1000, "level": 0.95, "clusters": 300, "clustered": not alone},
        "metrics": metrics,
        "majority_labels": CLASSES[:1],
        "majority": {
            name: {"score": 0.21, "gain": interval(results["patterns"][name]["accuracy"] - 0.21)} for name in metrics
        },
        "information": information,
        "reliability": reliability,
        "by_modality": {name: by_modality(w, sum(worth), alone) for name, w in zip(modalities, worth, strict=True)},
        "lost": {name: lost(w, alone) for name, w in zip(modalities, worth, strict=True)} if len(worth) > 1 else {},
        "at_rates": [
            {"missing_rate": rate, **{key: interval(part * (1.03 - rate)) for key, part in AT_RATES.items()}}
            for rate in GRID
        ],
        "as_they_come": None
        if alone
        else {
            "n": 9000,
            "entropy": interval(ENTROPY),
            "presence": interval(0.0831),
            **{key: interval(part + 0.0207) for key, part in AT_RATES.items()},
        },
        "holes": {} if alone else {modalities[0]: HOLES},
        "elsewhere": []
        if alone
        else [
            {
                "missing_rate": 0.3,
                "naive": 0.8123,
                "accuracy": interval(0.7789),
                "bounds": [0.7012, 0.8456],
                **WEIGHTED,
            },
            {"missing_rate": 0.6, "naive": 0.7123, "accuracy": dict.fromkeys(("value", "low", "high")), **WITHHELD},
        ],
        "late_fusion": late_fusion(modalities) if not alone else {},
        "pairs": {
            pattern_name(pattern, modalities): {**interval(0.1234 - 0.07 * rng.random(), 0.02), "p_holm": 0.0123}
            for pattern in panel(len(modalities))
            if sum(pattern) == 2
        },
        "counter_intuitive": [
            {
                "present": pattern_name(pattern, modalities),
                "added": name,
                "rate": interval(0.015 + 0.03 * rng.random(), 0.004),
            }
            for pattern in panel(len(modalities))
            for name, is_present in zip(modalities, pattern, strict=True)
            if not is_present
        ],
        "models": [this_model] if alone else [this_model, *other_models(modalities, metrics, information)],
        "arms": [] if alone else arms(modalities, metrics, rng),
        "matrices": []
        if alone
        else [
            {
                "arm": arm,
                "train_rates": [0.0, 0.5, 0.9],
                "test_rates": GRID,
                "accuracy": [
                    [round(0.93 - 0.3 * test * (1.4 - train) - 0.03 * train - low, 6) for test in GRID]
                    for train in (0.0, 0.5, 0.9)
                ],
            }
            for arm, low in (("frozen", 0.0), ("ume-mma", 0.0131))
        ],
    }


def pattern_metrics(row, share, rng):
    return {
        "n": row["n"],
        "clusters": row["n"],
        "accuracy": interval(row["accuracy"]),
        "f1_macro": interval(row["accuracy"] - 0.011),
        "f1_micro": interval(row["accuracy"] + 0.003),
        "f1_samples": interval(row["accuracy"] + 0.003),
        "auroc": interval(0.55 + 0.4 * share),
        "auprc": interval(0.3 + 0.6 * share),
        "cross_entropy": interval(row["cross_entropy"], 0.02),
        "ece": interval(0.02 + 0.03 * rng.random(), 0.004),
    }


def pattern_information(row, share, rng, name, alone):
    used = ENTROPY - row["cross_entropy"]
    best = used if alone else used + 0.09 * share * rng.random() + 0.004
    residual_bits = (ENTROPY - best) / math.log(2)
    return {
        "lower_bound": interval(used, 0.02),
        "best_known": {
            **interval(best, 0.02),
            "model": "ume-mma" if alone else f"specialist {name}",
            "uses": name.split("+")[0] if name.count("+") == 1 else name,
        },
        "truth": None if alone else round(best + 0.05, 6),
        "utilisation": dict.fromkeys(("value", "low", "high")) if alone else interval(used / best),
        "floor": interval(max(0.2, 1 - residual_bits / 2)),
        "ceiling": interval(min(1.0, row["accuracy"] + 0.09)),
        "parts": None
        if alone
        else {
            "failure": interval(best - used),
            **{part: interval((best - used) * share, 0.0031) for part, share in PARTS.items()},
        },
    }


def by_modality(worth, total, alone):
    return {
        "n": 8123,
        "loss": interval(0.3 * worth),
        "price": [{"missing_rate": rate, **interval(worth * (0.4 + 0.7 * rate), 0.03)} for rate in GRID],
        "shapley": interval(1.4 * worth / total, 0.02),
        "shapley_share": interval(worth / total, 0.02),
        "lost_for_good": interval(0.31 * worth, 0.015),
        "encoder_term": None if alone else interval(0.021 - 0.02 * worth, 0.009),
        "fusion_noise": interval(-0.004 + 0.013 * worth, 0.006),
    }


def late_fusion(modalities):
    return {
        pattern_name(pattern, modalities): {
            "product": {**interval(0.0417 * sum(pattern), 0.01), "p_holm": 0.0021},
            "additive": {**interval(0.0123 * sum(pattern), 0.01), "p_holm": 0.234},
        }
        for pattern in panel(len(modalities))
        if sum(pattern) > 1
    }


def lost(worth, alone):
    def split(scale):
        return {
            "loss": interval(0.3 * worth * scale),
            "gone": interval(0.2 * worth * scale),
            "failed": interval(0.13 * worth * scale),
            "failed_before": interval(0.03 * worth * scale),
        }

    return {
        "n": 7000 + round(1000 * worth),
        "model": "ume-mma" if alone else "frozen specialist",
        "scores": {"accuracy": split(1.0), "cross-entropy": split(1.7)},
    }


def model(name, arm, seed, metrics, information, modalities, *, this_run=False):
    return {
        "name": name,
        "arm": arm,
        "seed": seed,
        "missing_rate": dict.fromkeys(modalities, 0.5),
        "this_run": this_run,
        "budget": 605000 + seed,
        "patterns": {
            pattern: {
                "accuracy": round(row["accuracy"]["value"] - 0.01 * seed, 6),
                "cross_entropy": row["cross_entropy"]["value"] + 0.0123,
                "utilisation": (information[pattern]["utilisation"]["value"] or 0.0) - 0.01 * seed,
            }
            for pattern, row in metrics.items()
        },
    }


def other_models(modalities, metrics, information):
    for arm, seed in itertools.product(ARMS[:7], (0, 1, 2)):
        yield model(f"{arm}-{seed}", arm, seed, metrics, information, modalities)
    for name, row in metrics.items():
        yield model(f"specialist {name}", "specialist", 0, {name: row}, information, modalities)


def arms(modalities, metrics, rng):
    rows = []
    for arm in ARMS:
        shift = {"ume-mma": 0.0, "early": 0.0213}.get(arm, -0.03 * rng.random())
        shown = {name: row for name, row in metrics.items() if arm != "uni" or "+" not in name}
        rows.append(
            {
                "arm": arm,
                "about": f"what {arm} is",
                "missing_rate": None if arm in ("ensemble", "uni") else dict.fromkeys(modalities, 0.5),
                "num_seeds": 3,
                "patterns": {
                    name: {
                        "accuracy": {"mean": round(row["accuracy"]["value"] + shift, 6), "spread": 0.0041, "n": 3},
                        "cross_entropy": {"mean": row["cross_entropy"]["value"] - shift, "spread": 0.0092, "n": 3},
                        "utilisation": {"mean": 0.93 + shift, "spread": 0.0067, "n": 3},
                    }
                    for name, row in shown.items()
                },
                "versus": None
                if arm == "ume-mma"
                else {name: {"difference": interval(shift, 0.006), "p": 0.0123, "p_holm": 0.0456} for name in shown},
            }
        )
    return rows


def classes(several=False):
    """Return predictions of 100 samples a class, of which every fifth is taken for the next."""
    num = len(CLASSES)
    confusion = [[80 * (i == j) + 20 * (j == (i + 1) % num) for j in range(num)] for i in range(num)]
    pairs = [(CLASSES[i], CLASSES[(i + 1) % num]) for i in range(num)]
    return Classes.model_validate(
        {
            "n": 100 * num,
            "num_wrong": 20 * num,
            "classes": {
                name: {
                    "support": 100,
                    "predicted": 100,
                    "precision": 0.8,
                    "recall": round(0.8 + 0.001 * number, 6),
                    "f1": 0.8,
                    "auroc": round(0.93 + 0.004 * number, 6),
                    "auprc": None if number == 1 else round(0.87 - 0.007 * number, 6),
                }
                for number, name in enumerate(CLASSES)
            },
            "confusion": None if several else confusion,
            "confused": [{"true": true, "predicted": said, "n": 20, "share": 0.2} for true, said in pairs],
            "wrong": [
                {
                    "key": f"<i>k-{number}</i>",
                    "group": "g",
                    "present": "image",
                    "true": [true, CLASSES[0]] if several else [true],
                    "predicted": [said],
                    "confidence": round(0.99 - 0.01 * number, 6),
                }
                for number, (true, said) in enumerate(pairs)
            ],
        }
    )


def gates(passed):
    failures = [] if passed else ["joint, audio: accuracy 0.499, tower audio 0.618: 0.119 lower (p 0.0003 after Holm)"]
    return Gates(
        passed=passed,
        gates=[
            Gate(gate="no leak", passed=True, checked=84, failures=[]),
            Gate(gate="never below the uni-modal model", passed=passed, checked=3, failures=failures),
            Gate(gate="realised missing rates", passed=True, checked=44, failures=[]),
        ],
    )


def masks(modalities):
    def split(n, at):
        realised = {name: round(0.5 + 0.001 * number + at, 6) for number, name in enumerate(modalities)}
        return SplitMasks(
            sha256=hashlib.sha256(str(at).encode()).hexdigest(),
            rounds=1,
            n=n,
            realised=realised,
            by_class={
                name: {modality: round(rate + 0.002 * number, 6) for modality, rate in realised.items()}
                for number, name in enumerate(CLASSES)
            },
        )

    return Masks(
        protocol="independent",
        missing_rate=dict.fromkeys(modalities, 0.5),
        seed=0,
        splits={"train": split(55000, 0.0003), "val": split(5000, -0.0021), "test": split(10000, 0.0016)},
    )


def towers(modalities, alone):
    """Return the towers' results: of the first modality two encoders were tried and a third failed, unless `alone`."""

    def tower(number):
        scores = {"val_cross_entropy": 0.7 + 0.01 * number, "val_accuracy": 0.66 - 0.01 * number, "samples_seen": 900}
        tried = [{"encoder": {"name": "tcn", "width": 32}} | scores]
        if number == 0 and not alone:
            worse = {**scores, "val_cross_entropy": 0.93, "val_accuracy": 0.512}
            failed = {"encoder": {"name": "mlp"}, "failed": "<i>NaN</i> after 3 steps"}
            tried = [{"encoder": {"name": "trees"}} | worse, failed, *tried]
        test = {"n_test": 100, "test_accuracy": 0.6, "test_cross_entropy": 0.8}
        return TowerResult.model_validate(
            {"n_val": 100, "temperature": 1.1, **scores, **test, "encoder": "tcn", "tried": tried, "why": "the lowest"}
        )

    return {name: tower(number) for number, name in enumerate(modalities)}


def statistics(modalities, used, complete):
    """Return what holes() says of the test split, and the same shares of the others."""
    exactly = {pattern_name(has, modalities): n for has, n in holes(modalities).items()}
    if complete:
        exactly = {pattern_name((True,) * len(modalities), modalities): 10_000}
    lack = {name: sum(n for has, n in exactly.items() if name not in has.split("+")) for name in modalities}
    return {
        "num_samples": sum(used.values()),
        "splits": used,
        "groups": {split: count // 2 for split, count in used.items()},
        "classes": {
            split: {name: count // 5 - 300 * (number == 4) for number, name in enumerate(CLASSES)}
            for split, count in used.items()
        },
        "presence": {name: dict.fromkeys(used, 1 - lack[name] / 10_000) for name in modalities},
        "patterns": dict.fromkeys(used, exactly),
        "gaps": {} if complete else {modalities[-1]: dict.fromkeys(used, 0.0712)},
    }


def data(clean, modalities=TWO[0]):
    """Return a data summary with rejected samples and warnings; `clean`: with neither."""
    used = {"train": 55000, "val": 5000, "test": 10000} | ({} if clean else {"": 0})
    reasons = (
        []
        if clean
        else [
            {
                "reason": "no readable image",
                "total": 17,
                "by_split": {"train": 12, "val": 1, "test": 4},
                "example": 'k-7 (image.png: no readable image: <b>"truncated"</b>)',
            },
            {
                "reason": "the split is empty",
                "total": 2,
                "by_split": {"": 2},
                "example": "k-9 (all.csv line 3: the split)",
            },
            {"reason": "other reasons", "total": 1, "by_split": {"train": 1}, "example": ""},
        ]
    )
    left_out = {split: sum(row["by_split"].get(split, 0) for row in reasons) for split in used}
    return Summary.model_validate(
        {
            "splits": list(used),
            "judged": {split: count + left_out[split] for split, count in used.items()},
            "used": used,
            "quarantined": left_out,
            "reasons": reasons,
            "warnings": [] if clean else ["clipping: train/audio, column audio_clipped_share: <i>too loud</i>"],
            "ignored": [] if clean else ["same_shape", "silence"],
            "dropped": {} if clean else {"no such file": 31},
            "statistics": statistics(modalities, {split: used[split] for split in ("train", "val", "test")}, clean),
        }
    )
