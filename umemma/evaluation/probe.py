"""A linear probe: how much of the label can be read off features in a straight line."""

import numpy as np
import torch

_NUM_SAMPLES = 10_000


def is_correct(
    train: torch.Tensor, train_label: torch.Tensor, test: torch.Tensor, test_label: torch.Tensor
) -> torch.Tensor:
    """Fit a logistic regression on features (sample, dim) and return (test sample,) float64: was it right?

    On the first 10,000 training samples, standardised; deterministic. With several labels, label (sample, class), one
    for each class that training has both with and without, and the share that was right.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    def right_on(label: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        with threadpool_limits(1):  # several wait for each other at every small product: minutes on a busy machine
            probe.fit(train[:_NUM_SAMPLES].double().numpy(), label[:_NUM_SAMPLES].numpy())
        return torch.from_numpy(np.asarray(probe.predict(test.double().numpy()) == truth.numpy())).double()

    if train_label.ndim == 1:
        return right_on(train_label, test_label)
    both = [k for k, share in enumerate(train_label[:_NUM_SAMPLES].double().mean(dim=0).tolist()) if 0 < share < 1]
    return torch.stack([right_on(train_label[:, k], test_label[:, k]) for k in both], dim=1).mean(dim=1)
