"""Targets softened by the towers' product: who says them, what they are, and where they lead."""

from dataclasses import replace

import torch

from tests.test_arms import context, snapshot, with_fuse  # noqa: F401
from umemma.metrics import objective
from umemma.training import distillation
from umemma.training.fit import fit


def test_the_teacher_is_bayes_rule_over_all_that_a_sample_has_whatever_is_hidden(context):  # noqa: F811
    data, prior = context.features["train"], context.log_prior.exp()
    likelihoods = [
        (torch.softmax(tower.answer(data.values[name]), dim=1) / tower.log_prior.exp()).detach()
        for name, tower in context.towers.items()
    ]
    joint = prior * likelihoods[0] * likelihoods[1]
    rows = torch.tensor([7, 3, 20])
    expected = 0.7 * torch.nn.functional.one_hot(data.label[rows], 3) + 0.3 * (joint / joint.sum(1, keepdim=True))[rows]
    hidden = data.rows(rows).with_present(torch.tensor([[True, False], [False, True], [True, True]]))
    given = distillation.targets(with_fuse(context, distil=0.3))(hidden)
    torch.testing.assert_close(given, expected, check_dtype=False)
    assert distillation.targets(context) is None


def test_the_loss_is_least_where_the_answer_is_the_target():
    target = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    for label, logits in ((torch.tensor([0, 2]), target.log()), (torch.eye(3)[[0, 2]], target.logit())):
        at = logits.clone().requires_grad_()
        objective.loss(at, label, target=target).backward()
        torch.testing.assert_close(at.grad, torch.zeros(2, 3), atol=1e-7, rtol=0)


def test_with_a_share_of_one_training_labels_play_no_part(context):  # noqa: F811
    def trained(distil: float, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        media, features = (
            {**data, "train": replace(data["train"], label=labels)} for data in (context.media, context.features)
        )
        return snapshot(fit("frozen", with_fuse(replace(context, media=media, features=features), distil=distil)).model)

    label = context.media["train"].label
    for distil, is_same in ((1.0, True), (0.5, False)):
        first, second = trained(distil, label), trained(distil, label.flip(0))
        assert torch.equal(first["head.experts.image.weight"], second["head.experts.image.weight"]) == is_same
