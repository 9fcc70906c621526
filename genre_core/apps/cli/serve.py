"""``genre serve``: serve the page and the HTTP API."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from genre_core.apps.cli import ending
from genre_core.apps.cli.common import chosen_predictor, introduction
from genre_core.errors import GenreError
from genre_core.terminal import say

if TYPE_CHECKING:
    from genre_core.apps.serve.nearest import NearestTracks


def _nearest_tracks(path: Path) -> NearestTracks:
    """Load the library of a music folder, whose new files are computed first, or of a store."""
    from genre_core.apps.cli.similar import open_folder
    from genre_core.apps.serve.nearest import NearestTracks
    from genre_core.library.embedding_store import EmbeddingStore, default_path
    from genre_core.library.embeddings import Embedder
    from genre_core.library.similar import open_library

    embedder = Embedder()
    errors: list[str] = []
    if path.is_dir():
        with EmbeddingStore(default_path(), embedder.version) as store:
            library, _, errors = open_folder(path, embedder, store)
    else:
        with EmbeddingStore(path, embedder.version, create=False) as store:
            library = open_library(store, store.files())
    for error in errors:
        say(f"error: {error}", sys.stderr)
    if not library.tracks:
        raise GenreError(f"--library {path}: no track with an embedding; name a folder with music, or the --store of `genre similar`")
    return NearestTracks(library, embedder)


def serve(chosen: argparse.Namespace) -> NoReturn:
    """Serve the page and the HTTP API until Ctrl-C or SIGTERM."""
    from genre_core.apps.serve import api, guard, server

    name, predictor = chosen_predictor(chosen.model)
    hosts = {*guard.LOOPBACK, *chosen.allow_host, chosen.host} - {"0.0.0.0", "::"}  # noqa: S104 (wildcard addresses: no browser requests a page under them)
    library = _nearest_tracks(chosen.library) if chosen.library else None
    application = api.application(predictor, name, introduction(name, predictor), hosts=hosts, library=library)
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
