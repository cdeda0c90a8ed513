"""Launchers: where the work of a stage runs - in this machine's processes, as Slurm jobs or as Ray tasks.

DVC stays the graph. A stage hands over a map over shards (`map`), or ranks that train one model together (`train`), and
cannot tell where they ran: results come in the order of the jobs, and every file is the same to the byte. Jobs write
files themselves, so all nodes see the project's folder under the same path.
"""
