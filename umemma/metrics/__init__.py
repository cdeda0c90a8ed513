"""Metrics of classification and calibration, computed from logits and labels alone.

Used from outside: all public functions of `classification`, and `calibration.temperature`.
"""
