"""The gate between data and training: expectations of the manifest, their bounds and severities, and drift.

For use outside: `gate` (judge, data_docs), `expectation.Evidence`, `drift` (accepted versions) and `settings`.
"""
