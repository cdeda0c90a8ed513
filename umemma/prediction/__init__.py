"""Predictions of one model for every sample under every pattern, their file, and per-class decision thresholds.

Used from outside: `predict.predict`; `Predictions`, `read` and `write` of `predictions`; and `thresholds.decided`.
"""
