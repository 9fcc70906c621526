"""A page and an HTTP API on this machine: drop a file or record, see genres, their timeline and what carried the decision.

Nothing leaves the machine, and no file but an upload is read: the server takes bytes, never a path. `guard` says who may ask, `work` how
much is done at once, `api` answers, and ``static`` is the page.
"""

from __future__ import annotations
