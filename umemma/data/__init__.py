"""Samples, their quarantine, WebDataset shards with a manifest, decoded arrays, and batches.

From outside use `Sample` and `BadSample`, `Adapter`, `shard_writer.write`, `shards`, `arrays`, `manifest.targets`,
`quarantine`, `Batch`, the settings, and the command `croissant`.
"""
