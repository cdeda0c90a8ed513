"""Decoder plug-ins: `decode.name: NAME` is the module NAME here, with a class `Decoder(*, settings...)`.

They are loaded by name; nothing here is for import from outside.
"""
