"""The ``genre`` command, one file a command."""
