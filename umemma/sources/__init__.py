"""Sources of raw data: downloads, the adapters of data sets, and readers of tables and of public data-set layouts.

From outside, use `build.built`, `raw`, `changes.state` and `synthetic_distribution`; adapters are loaded by name.
"""
