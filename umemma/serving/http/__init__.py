"""`umemma serve`: a model folder answers over HTTP, with the bytes that `umemma predict` would write.

A request passes `access` (who may ask), `body` (bytes to rows), `cells` (rows to what a table's reader takes), the
reader, `batching` (rows of many requests to the model) and leaves through `app`. `limits` bounds each step.
"""
