"""MLflow: where the runs go, whether it can be written to, and one run for each run of the pipeline.

Used from outside: `Run` and `Record` of `record`, `log.log`, `log.log_kept`, and the commands `check` and `ui`. `check` runs
before every stage that DVC starts, so it loads MLflow only where a server or a database server must be asked.
"""
