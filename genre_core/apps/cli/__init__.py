"""The ``genre`` command, with one module for each subcommand."""

from genre_core.apps.cli.ending import end_on_ctrl_c, is_command
from genre_core.util.environment import prepare_libraries

if is_command():  # before the imports of a command, which take seconds
    end_on_ctrl_c()
    prepare_libraries()
