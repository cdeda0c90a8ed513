"""A linear probe: accuracy of a linear classifier on frozen features."""

import numpy as np
import torch

_NUM_SAMPLES = 10_000


def is_correct(
    train: torch.Tensor, train_label: torch.Tensor, test: torch.Tensor, test_label: torch.Tensor
) -> torch.Tensor:
    """Fit a logistic regression on features (sample, dim) and return (test sample,) float64: is it correct?

    On the first 10,000 training samples, standardised; deterministic. With several labels, label (sample, class), one
    for each class with both positives and negatives in training, and the share that is correct.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    train, test = train.nan_to_num(0.0), test.nan_to_num(0.0)  # what was not measured counts as the mean

    def correct_for(label: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        with threadpool_limits(1):  # more threads synchronise at every small product: minutes on a busy machine
            probe.fit(train[:_NUM_SAMPLES].double().numpy(), label[:_NUM_SAMPLES].numpy())
        return torch.from_numpy(np.asarray(probe.predict(test.double().numpy()) == target.numpy())).double()

    if train_label.ndim == 1:
        return correct_for(train_label, test_label)
    classes = [k for k, share in enumerate(train_label[:_NUM_SAMPLES].double().mean(dim=0).tolist()) if 0 < share < 1]
    return torch.stack([correct_for(train_label[:, k], test_label[:, k]) for k in classes], dim=1).mean(dim=1)
