"""Everything that is made from the JSON reports of a run: typed results, tables, charts, the page; no model is loaded.

For use outside: `results` (read and write reports), `data_summary`, `expected`, `page`, `tables` and `terminal`.
"""
