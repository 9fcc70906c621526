"""The stages of dvc.yaml: each module holds the order of calls; every decision lives in `genre_core`."""

import multiprocessing
import sys
from itertools import pairwise

# A stage's imports take seconds: signals are heard, and DVC's end is noticed, before them. Tests that import a stage keep their own.
_STARTED = any(option == "-m" and name.startswith(("stages.", "pretrained.")) for option, name in pairwise(sys.orig_argv))
if _STARTED or multiprocessing.parent_process() is not None:
    from stages.run import end_with_dvc, hear_signals

    hear_signals()
    if multiprocessing.parent_process() is None:
        end_with_dvc()
