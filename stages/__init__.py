"""The stages of dvc.yaml: each module holds the order of calls; every decision lives in `genre_core`."""

import multiprocessing
import sys

# A stage's imports take seconds: signals are heard before them. Whoever imports a stage, as tests do, keeps its own.
if multiprocessing.parent_process() is not None or sys.orig_argv[1:2] == ["-m"]:
    from stages.run import hear_signals

    hear_signals()
