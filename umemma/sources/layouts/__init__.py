"""How public data sets lie on disk, as far as several adapters meet it: lists, clips, pickles, all in one file."""
