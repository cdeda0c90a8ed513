"""Data set adapters: `dataset.adapter: NAME` selects the module NAME of this package, which has a class `Adapter`.

From outside, they are built by `umemma.sources.build.built` only.
"""
