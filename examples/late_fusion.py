"""Late fusion of two encoders, trained and tested where modalities are missing: the README shows this file."""

import torch
from torch import nn

import umemma

# Three classes. `left` tells class 0 from the rest, `right` class 2; each is missing in a tenth of the samples.
torch.manual_seed(0)
label = torch.arange(1500) % 3
left = 0.5 * torch.randn(1500, 16) + (label == 0)[:, None]
right = 0.5 * torch.randn(1500, 3, 8, 8) + (label == 2)[:, None, None, None]
has_left, has_right = torch.rand(2, 1500) > torch.tensor([[0.1], [0.1]])
present = torch.stack([has_left, has_right | ~has_left], dim=1)  # (sample, modality)
samples = umemma.Batch.of({"left": left, "right": right}, label, present)
data = {"train": samples.rows(slice(0, 1000)), "val": samples.rows(slice(1000, 1200))}

convolution = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 16), nn.ReLU())
encoders = {"left": {"name": "mlp", "dim": 16}, "right": convolution}  # by name, or any nn.Module
towers = {name: umemma.train_tower(name, encoder, data, epochs=10) for name, encoder in encoders.items()}
model = umemma.train_fusion(towers, data, head="gated", missing_rate=0.5, epochs=10)

for modalities, result in umemma.evaluate(model, samples.rows(slice(1200, 1500))).items():
    print(f"{modalities:12} accuracy {result['accuracy']:.3f}  cross-entropy {result['cross_entropy']:.3f}")
