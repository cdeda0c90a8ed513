"""Prefect on top of DVC: order, retries, parallel stages, cancellation and a user interface; and where a model comes from. No computation."""

import signal
import sys

if sys.argv[0] == "-m":  # Ctrl-C while modules are imported; `stop.ends_with` listens where there is something to end
    signal.signal(signal.SIGINT, signal.SIG_DFL)
