"""Evaluation of predictions: metrics by pattern and missing rate, information bounds, comparisons, the leak audit.

Used from outside: the public functions of `robustness`, `accounting`, `comparison`, `leak_audit`, `probe`,
`patterns` and `promotion`; `information` and `bootstrap` serve these.
"""
