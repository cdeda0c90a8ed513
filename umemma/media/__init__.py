"""Media files: what they are, whether they can be used, and their tensors."""
