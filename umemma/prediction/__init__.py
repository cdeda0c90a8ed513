"""Asking a model about every sample and pattern."""
