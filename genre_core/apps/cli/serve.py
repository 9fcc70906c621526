"""``genre serve``: serve the page and the HTTP API."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from genre_core.apps.cli import ending
from genre_core.apps.cli.common import chosen_predictor, introduction
from genre_core.terminal import say


def serve(chosen: argparse.Namespace) -> NoReturn:
    """Serve the page and the HTTP API until Ctrl-C or SIGTERM."""
    from genre_core.apps.serve import api, guard, server

    name, predictor = chosen_predictor(chosen.model)
    hosts = {*guard.LOOPBACK, *chosen.allow_host, chosen.host} - {"0.0.0.0", "::"}  # noqa: S104 (wildcard addresses: no browser requests a page under them)
    application = api.application(predictor, name, introduction(name, predictor), hosts=hosts)
    with server.listen(chosen.host, chosen.port) as listener:
        host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        if not guard.is_loopback(chosen.host):
            say(
                f"warning: other machines can reach {host}: anybody there can use this server, without a password; "
                f"it answers requests for {', '.join(sorted(hosts))} (--allow-host adds a name)",
                sys.stderr,
            )
        say(f"http://{host}:{chosen.port}  (Ctrl-C ends it)")
        ending.leave_ctrl_c_to_command()
        server.serve(application, listener)
