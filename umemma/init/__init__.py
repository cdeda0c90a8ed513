"""`umemma init`: inspects a table and its media, guesses columns and settings, and writes a file in conf/dataset/.

From outside, only `init.main` and `init.init` are used.
"""
