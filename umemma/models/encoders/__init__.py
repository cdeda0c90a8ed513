"""Encoders: `encoder.name: NAME` is the module NAME here, with a function `build(shape, *, settings...)`."""
