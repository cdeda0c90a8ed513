"""Limits first: what the machine can do, how much work a training is, and where its time goes.

Used from outside: `machine`, `work`, `phases`, `plain`, `table`.
"""
