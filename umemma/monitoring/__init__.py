"""`umemma monitor`: today's answers compared with those to the test samples: drift, and the accuracy to expect of them.

`answers` reads what is watched, `samples` holds it and the reference in one form, `evaluation.two_samples` compares, `transport`
carries figures over from the reference; from these `drift`, `accuracy`, `restoring` and `labels`, put together in
`watch` and told in `report`.
"""
