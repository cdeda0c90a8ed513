"""How much faster a training step is than plain PyTorch's, on two LeNets at 112 px.

Plain is what a tutorial would write: float32, channels first, ReLU before the pooling. Both train on the same bytes, turn
and turn about. On a CPU its own seconds are counted, over all threads: others on the machine take none of these.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from statistics import median
from typing import Any

import torch
from torch import nn

from umemma.models.device import Device
from umemma.models.unimodal import Encoder, Tower

_SIDE_PX, _BATCH, _NUM_CLASSES = 112, 128, 10
_ROUNDS = 3
Step = Callable[[], object]


def compare(device: Device) -> dict[str, Any]:
    """Return samples per second (of a CPU: per CPU-second) of both, and the median over rounds of how many times faster ours is."""
    generator = torch.Generator().manual_seed(0)
    shape = (_BATCH, 1, _SIDE_PX, _SIDE_PX)
    values = torch.randint(0, 256, (2, *shape), generator=generator, dtype=torch.uint8).to(device.torch_device)
    label = torch.randint(0, _NUM_CLASSES, (_BATCH,), generator=generator).to(device.torch_device)
    towers = [Tower(Encoder(name, shape[1:], {"name": "lenet"}), _NUM_CLASSES) for name in ("first", "second")]
    for tower, value in zip(towers, values, strict=True):
        tower.encoder.fit_scale(value)
        tower.to(device.torch_device)
    ours = _step(nn.ModuleList(towers), values, label, device)
    plain = _step(nn.ModuleList(plain_network(tower) for tower in towers), values, label, Device(device.torch_device))
    rounds = [(_seconds(plain, device), _seconds(ours, device)) for _ in range(1 + _ROUNDS)][1:]  # the first warms up
    return {
        "side_px": _SIDE_PX,
        "batch_size": _BATCH,
        "plain_samples_per_second": round(_BATCH / median(seconds for seconds, _ in rounds), 1),
        "samples_per_second": round(_BATCH / median(seconds for _, seconds in rounds), 1),
        "times_faster": round(median(before / after for before, after in rounds), 2),
    }


def plain_network(tower: Tower) -> nn.Sequential:
    """Return the same network in float32 and channels first; its pooling follows ReLU."""
    layers = [deepcopy(layer) for layer in tower.encoder.body.children()]
    for place in [number for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]:
        layers[place : place + 2] = layers[place + 1], layers[place]
    encoder = tower.encoder
    assert isinstance(encoder, Encoder)
    head = nn.Linear(tower.head.in_features, tower.head.out_features)
    network = nn.Sequential(_Scale(encoder.mean, encoder.std), *layers, head).to(tower.head.weight.device)
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()
    return network


class _Scale(nn.Module):
    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return (value.float() - self.mean) / self.std


def _step(models: nn.ModuleList, values: torch.Tensor, label: torch.Tensor, device: Device) -> Step:
    optimiser = torch.optim.AdamW(models.parameters(), lr=1e-3)

    def step() -> None:
        with device.autocast():
            logits = [model(value).float() for model, value in zip(models, values, strict=True)]
        loss = torch.stack([nn.functional.cross_entropy(each, label) for each in logits]).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def _seconds(step: Step, device: Device) -> float:
    if device.torch_device.type == "cpu":
        start = time.process_time()
        step()
        return time.process_time() - start
    start = time.perf_counter()
    step()
    torch.cuda.synchronize(device.torch_device)
    return time.perf_counter() - start
