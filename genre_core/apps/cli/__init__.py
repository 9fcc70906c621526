"""The ``genre`` command, with one module for each subcommand."""
