"""Data set adapters: `dataset.adapter: NAME` is the module NAME here, with a class `Adapter`."""
