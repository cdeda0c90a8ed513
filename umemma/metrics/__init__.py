"""Metrics computed from logits and labels alone: classification, ranking, calibration, and the training objective.

All public functions may be used from outside; nothing here knows a model or a file.
"""
