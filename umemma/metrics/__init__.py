"""Metrics of classification and calibration."""
