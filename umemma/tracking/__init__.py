"""MLflow: where the runs go, whether that can be written to, one run for each run of the pipeline, and its model.

Used from outside: `Run`, `Record` and `keep` of `record`, `examples.rows`, `find`, which only reads, `registry`, which
says what model is in use, and the commands `check`, `log` and `ui`.
`check` runs before every stage that DVC starts, so it loads MLflow only where a server must be asked. A run is kept as files
first and logged from them by a process of its own.
"""
