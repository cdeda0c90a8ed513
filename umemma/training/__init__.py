"""Training of towers and of the model of each arm: loop, schedule, device, augmentation, hidden modalities.

Used from outside: `fit.fit`, `unimodal_fit`, `context`, `arms`, `masks`, `device`, `settings`, and `in_memory` for data
in memory.
"""
