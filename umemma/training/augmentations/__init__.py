"""Augmentations of training arrays, by the kind of data; only `umemma.training.augment` uses them.

A builder takes a setting's value and the shape of one sample, and returns a function (batch, *shape), generator -> the
same shape and dtype, which changes every sample independently. It raises ValueError for an invalid value.
"""
