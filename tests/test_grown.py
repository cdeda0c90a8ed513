"""A model that gains or loses modalities answers as before wherever it has nothing new, to the bit."""

import pkgutil
from copy import deepcopy

import pytest
import torch

from tests.conftest import CPU
from umemma.data.batch import Batch
from umemma.errors import ParameterError
from umemma.evaluation import unchanged
from umemma.missingness import key_digest
from umemma.models import base_model, checkpoint, grown, heads, late_fusion
from umemma.models.unimodal import Encoder, Tower
from umemma.prediction.predict import predict

PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()
NAMES = ("image", "audio", "text", "pulse")
HEADS = sorted(module.name for module in pkgutil.iter_modules(heads.__path__))
each_head = pytest.mark.parametrize("head", HEADS)


@pytest.fixture
def towers() -> dict[str, Tower]:
    torch.manual_seed(3)
    made = {name: Tower(Encoder(name, (4,), {"name": "mlp", "width": 6, "dim": 5}), 3).eval() for name in NAMES}
    for tower in made.values():
        tower.log_prior.copy_(PRIOR)
    return made


@pytest.fixture
def data() -> Batch:
    torch.manual_seed(4)
    values = {name: torch.randn(40, 4) for name in NAMES}
    present = torch.rand(40, 4) > 0.3
    present[:, 0] |= ~present.any(dim=1)
    return Batch(values, present, torch.arange(40) % 3, key_digest([str(i) for i in range(40)]))


def late(towers, names, head="sum_logits", substitute="none", at="feature"):
    chosen = {name: deepcopy(towers[name]) for name in names}
    rows = {name: torch.randn(9, 5 if at == "feature" else 4) for name in names}
    return late_fusion.build(
        chosen, head=head, substitute=substitute, substitute_at=at, log_prior=PRIOR, rows=rows
    ).eval()


def answers(model, data, names=None):
    seen = data if names is None else data.only(list(names))
    return predict(model, seen, PRIOR, group=seen.key, device=CPU).logits


def moved(model):
    """Move the terms that are new: what is unchanged must not depend on them."""
    with torch.no_grad():
        model.head.together.weight += 1.0
        model.head.scale.fill_(0.35)
    return model


@each_head
@pytest.mark.parametrize("substitute", ["none", "zeros", "learned"])
def test_what_is_there_without_the_new_modality_is_answered_with_the_same_bytes(towers, data, head, substitute):
    base = late(towers, NAMES[:3], head, substitute)
    before = answers(base, data, NAMES[:3])
    model = moved(grown.with_modality(base, "pulse", towers["pulse"], PRIOR))
    checked, failures = unchanged.compare(model, base, data, PRIOR, device=CPU)
    assert (checked, failures) == (40 * 7, [])
    after = answers(model, data)
    for pattern, logits in before.items():
        assert torch.equal(after[(*pattern, False)], logits), pattern
    everything = data.present.all(dim=1)
    assert not torch.equal(after[(True,) * 4][everything], before[(True,) * 3][everything])


def test_a_model_that_differs_is_found_out(towers, data):
    base = late(towers, NAMES[:3])
    model = grown.with_modality(late(towers, NAMES[:3]), "pulse", towers["pulse"], PRIOR)
    with torch.no_grad():
        model.head.base.experts["audio"].bias[0] += 1e-6
    _, failures = unchanged.compare(model, base, data, PRIOR, device=CPU)
    assert [failure.split(":")[0] for failure in failures] == ["image+audio+text", "image+audio", "audio+text", "audio"]


def test_the_new_modality_alone_is_answered_by_its_tower(towers, data):
    model = moved(grown.with_modality(late(towers, NAMES[:3]), "pulse", towers["pulse"], PRIOR))
    alone = answers(model, data)[(False, False, False, True)]
    has = data.present[:, 3]
    expected = towers["pulse"].answer(towers["pulse"].encoder(data.values["pulse"]))
    torch.testing.assert_close(alone[has], expected[has].detach())


def test_a_scale_of_zero_is_the_model_as_it_was(towers, data):
    base = late(towers, NAMES[:3])
    model = grown.with_modality(base, "pulse", towers["pulse"], PRIOR)
    model.head.scale.fill_(0.0)
    has_others = data.present[:, :3].any(dim=1)
    assert torch.equal(
        answers(model, data)[(True,) * 4][has_others], answers(base, data, NAMES[:3])[(True,) * 3][has_others]
    )


def test_with_a_scale_of_one_the_sum_of_experts_is_what_it_would_have_been_from_the_start(towers, data):
    model = grown.with_modality(late(towers, NAMES[:3]), "pulse", towers["pulse"], PRIOR)
    whole = answers(late(towers, NAMES), data)
    for pattern, logits in answers(model, data).items():
        torch.testing.assert_close(logits, whole[pattern])


@each_head
def test_a_modality_that_was_added_and_taken_off_leaves_every_byte(towers, data, head):
    base = late(towers, NAMES[:3], head)
    weights, facts = {name: value.clone() for name, value in base.state_dict().items()}, base.facts()
    back = grown.of_modalities(grown.with_modality(base, "pulse", towers["pulse"], PRIOR), NAMES[:3])
    assert back.facts() == facts
    assert all(torch.equal(value, weights[name]) for name, value in back.state_dict().items())


@each_head
@pytest.mark.parametrize("lost", NAMES[:3])
@pytest.mark.parametrize("substitute", ["none", "train_mean"])
def test_a_modality_that_is_retired_leaves_the_bytes_of_what_is_left(tmp_path, towers, data, head, lost, substitute):
    base = late(towers, NAMES[:3], head, substitute)
    left = [name for name in NAMES[:3] if name != lost]
    model = grown.without_modality(deepcopy(base), lost)
    assert list(model.parts()) == left
    assert not [name for name in model.state_dict() if f"encoders.{lost}" in name]
    assert unchanged.compare(model, base, data.only(left), PRIOR, device=CPU) == (40 * 3, [])
    checkpoint.save(model, tmp_path / "model.safetensors", classes=["a", "b", "c"])
    read = answers(checkpoint.load(tmp_path / "model.safetensors"), data, left)
    assert all(torch.equal(read[pattern], logits) for pattern, logits in answers(model, data, left).items())


@each_head
def test_models_that_grew_twice_and_lost_one_are_saved_and_read(tmp_path, towers, data, head):
    model = grown.with_modality(late(towers, NAMES[:2], head), "text", towers["text"], PRIOR)
    model = moved(grown.with_modality(model, "pulse", towers["pulse"], PRIOR))
    for lost in (None, "audio"):
        model = grown.without_modality(model, lost) if lost else model
        left = list(model.parts())
        checkpoint.save(model, tmp_path / "model.safetensors", classes=["a", "b", "c"])
        read = answers(checkpoint.load(tmp_path / "model.safetensors"), data, left)
        for pattern, logits in answers(model, data, left).items():
            assert torch.equal(read[pattern], logits), (lost, pattern)


def test_stand_ins_at_the_input_need_the_encoder_of_what_is_retired(towers):
    with pytest.raises(ParameterError, match="its stand-in is an input, which its encoder reads"):
        grown.without_modality(late(towers, NAMES[:3], "concat", "zeros", "input"), "audio")


def test_a_base_is_of_the_same_classes_and_decoders_and_of_late_fusion(tmp_path, towers):
    weights, folder = tmp_path / "model.safetensors", tmp_path / "0123456789ab"
    checkpoint.save(late(towers, NAMES[:2]), weights, classes=["a", "b", "c"])
    decode = {name: {"name": "vector"} for name in NAMES[:2]}
    base_model.write(folder, weights, digest="0123456789abcdef", classes=["a", "b", "c"], decode=decode)
    assert list(base_model.read(folder, classes=["a", "b", "c"], decode=decode).parts()) == list(NAMES[:2])
    with pytest.raises(ParameterError, match=r"dataset.classes must be those of the base model 0123456789ab"):
        base_model.read(folder, classes=["b", "a", "c"], decode=decode)
    other = decode | {"audio": {"name": "vector", "fill": 0}}
    with pytest.raises(ParameterError, match=r"dataset.modalities.audio.decode must be that of the base model"):
        base_model.read(folder, classes=["a", "b", "c"], decode=other)


def test_fitting_chooses_how_far_the_new_modality_is_trusted(towers):
    """Of a modality that tells nothing the model learns to leave it out, of one that tells all it takes all."""
    label = torch.arange(600) % 3
    logits = {"useless": torch.randn(600, 5), "telling": torch.nn.functional.one_hot(label, 5) * 4.0}
    for name, value in logits.items():
        model = grown.with_modality(late(towers, NAMES[:1]), "pulse", towers["pulse"], PRIOR)
        with torch.no_grad():
            model.head.together.weight.copy_(torch.eye(5)[:3] * 3)
            model.head.together.bias.zero_()
        features = {"image": torch.randn(600, 5), "pulse": value}
        model.head.fit(features, torch.ones(600, 2, dtype=torch.bool), label, 1.0)
        assert model.head.scale.item() == pytest.approx({"useless": 0.0, "telling": 1.0}[name], abs=0.1)


@pytest.mark.parametrize("head", ["sum_logits", "product_of_experts"])
def test_one_of_many_modalities_that_is_retired_leaves_the_bytes_of_what_is_left(head):
    torch.manual_seed(6)
    names = [f"m{number}" for number in range(9)]
    towers = {name: Tower(Encoder(name, (4,), {"name": "mlp", "width": 6, "dim": 5}), 3).eval() for name in names}
    values, present = {name: torch.randn(60, 4) for name in names}, torch.rand(60, 9) > 0.2
    data = Batch(values, present, torch.arange(60) % 3, key_digest([str(i) for i in range(60)]))
    base = late(towers, names, head)
    left = [name for name in names if name != "m3"]
    checked, failures = unchanged.compare(
        grown.without_modality(deepcopy(base), "m3"), base, data.only(left), PRIOR, device=CPU
    )
    assert checked > 60
    assert failures == []
