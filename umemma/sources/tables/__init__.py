"""Reads tables for the adapter `umemma.sources.adapters.table`: cells, rows, labels, splits, and paths of media files.

Errors name the line of the table. No media are decoded here, except series of numbers in .csv and .npy files. Only the
adapter and `umemma.init` use this package.
"""
