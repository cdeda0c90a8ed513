"""Encoders, fusion heads, substitutes for missing modalities, and the models built from them, with their files.

From outside use `unimodal` (towers), `late_fusion`, `early_fusion`, `per_pattern`, `checkpoint`, `run_encoders` and
`feature_cache`; the modules in `encoders` and `heads` are plug-ins, loaded by name.
"""
