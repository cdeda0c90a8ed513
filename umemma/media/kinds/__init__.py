"""One module for each kind of media, which reads, limits and checks its bytes; `umemma.media.facts` selects by suffix.

They never import torch: `prepare` needs facts, not tensors. Decoders read through the same functions, so that the gate
checks exactly what is decoded. Each raises DataError with a message without the file's name, which callers prepend.
"""
