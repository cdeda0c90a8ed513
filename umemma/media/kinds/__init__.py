"""One module for each kind of media: how its bytes are read, bounded and checked; `umemma.media` chooses among them.

They never import torch: `prepare` needs the facts, not the tensors. Decoders read through the same functions, so that
what the gate has seen is what is decoded. Each raises DataError with a sentence that does not name the file; whoever
knows its name puts it in front.
"""
