"""Random changes of decoded values in training, by what they change; `umemma.training.augment` chooses among them.

A maker takes a setting's value and the shape of one sample, and gives a function (batch, *shape), generator -> the
same shape and type. It raises ValueError for a value that cannot be. Every sample is changed in its own way.
"""
