"""Coverage-guided fuzzing of every reader: `make fuzz`.

`targets` are the readers and the files that they start from, `one` fuzzes one of them in this process, `__main__` all of
them one after the other. What was found is kept in `found/`, by reader, and read by `tests/test_fuzzing.py`.
"""
