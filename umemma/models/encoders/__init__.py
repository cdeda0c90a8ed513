"""Encoder plug-ins: `encoder.name: NAME` is the module NAME here, with a function `build(shape, *, settings...)`.

`umemma.models.unimodal` and `umemma.models.early_fusion` load them by name; nothing here is for use from outside.
"""
