"""A linear probe: how much of the label can be read off features in a straight line."""

import numpy as np
import torch

_NUM_SAMPLES = 10_000


def right(
    train: torch.Tensor, train_label: torch.Tensor, test: torch.Tensor, test_label: torch.Tensor
) -> torch.Tensor:
    """Fit a logistic regression on features (sample, dim) and return (test sample,) bool: was it right?

    On the first 10,000 training samples, standardised; deterministic.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with threadpool_limits(1):  # several wait for each other at every small product: minutes where a core is busy
        probe.fit(train[:_NUM_SAMPLES].double().numpy(), train_label[:_NUM_SAMPLES].numpy())
    return torch.from_numpy(np.asarray(probe.predict(test.double().numpy()) == test_label.numpy()))
