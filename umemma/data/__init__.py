"""Samples, shards, arrays and batches."""
