"""Readers of on-disk layouts that several public data sets share: lists, clips, pickles, HDF5.

Only adapters use them.
"""
