"""Decoders: `decode.name: NAME` is the module NAME here, with a class `Decoder(*, settings...)`."""
