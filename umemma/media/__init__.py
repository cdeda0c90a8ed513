"""Media files: their facts (kind, size, validity) and decoding them to tensors.

From outside use `facts.facts`, `formats`, the readers in `kinds` and, by name, the decoders in `decoders`.
"""
