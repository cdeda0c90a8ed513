"""Encoders, heads, fusion models, and their files."""
