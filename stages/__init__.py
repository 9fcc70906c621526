"""Stages of dvc.yaml.

A stage module only calls functions in order; `genre_core` makes the decisions.
"""

import multiprocessing
import sys
from itertools import pairwise

# The imports of a stage take seconds, so the handlers for signals and for the end of DVC are installed before them.
# Tests that import a stage keep their own handlers.
_IS_STAGE_PROCESS = any(option == "-m" and name.startswith(("stages.", "pretrained.")) for option, name in pairwise(sys.orig_argv))
if _IS_STAGE_PROCESS or multiprocessing.parent_process() is not None:
    from genre_core.util.environment import prepare_libraries
    from stages.run import end_with_dvc, hear_signals

    hear_signals()
    prepare_libraries()
    if multiprocessing.parent_process() is None:
        end_with_dvc()
