"""``genre similar``: list tracks of a folder that sound like a song."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre_core.apps.cli.common import WRONG_INPUT
from genre_core.errors import GenreError, as_text
from genre_core.terminal import say, say_json

if TYPE_CHECKING:
    from genre_core.library.embedding_store import EmbeddingStore
    from genre_core.library.embeddings import Embedder
    from genre_core.library.similar import Library, Neighbour


def similar(chosen: argparse.Namespace) -> int:
    """List tracks of a folder that sound like a song; return exit code 2 if a file could not be used."""
    from genre_core.library.embedding_store import EmbeddingStore, default_path
    from genre_core.library.embeddings import Embedder, update
    from genre_core.library.playlist import check_suffix, write_playlist

    if chosen.m3u:
        check_suffix(chosen.m3u)
    embedder = Embedder()
    with EmbeddingStore(chosen.store or default_path(), embedder.version) as store:
        done = update(store, embedder, [chosen.song])
        if done.failed:
            raise GenreError(*done.failed.values())
        (song,) = done.files.values()
        embedding = store.embeddings([song.audio])[song.audio]
        library, artists, errors = open_folder(Path(chosen.folder), embedder, store)
    known = library.find(song.audio)
    artist = artists.get(song.path) or song.artist or (known.artist if known else "")
    neighbours = library.nearest(embedding, chosen.top, artist=artist, any_artist=chosen.any_artist)
    if chosen.json:
        nearest = [_as_json(neighbour) for neighbour in neighbours]
        say_json({"file": as_text(chosen.song), "artist": artist, "tracks": len(library.tracks), "nearest": nearest, "failed": errors})
    else:
        for rank, neighbour in enumerate(neighbours, start=1):
            note = f" ({neighbour.track.artist}{', same artist' if neighbour.same_artist else ''})" if neighbour.track.artist else ""
            say(f"{rank:2} {neighbour.similarity:.3f} {neighbour.track.name}{note}")
        if not neighbours:
            say(f"{chosen.folder}: no other track in this folder", sys.stderr)
    if chosen.m3u:
        for path in write_playlist(chosen.m3u, (neighbour.track for neighbour in neighbours)):
            errors.append(str(GenreError(f"{path}: not in the playlist, which cannot hold this name; rename it")))
    for error in errors:
        say(f"error: {error}", sys.stderr)
    return WRONG_INPUT if errors else 0


def open_folder(folder: Path, embedder: Embedder, store: EmbeddingStore) -> tuple[Library, dict[str, str], list[str]]:
    """Bring the store up to date with a folder, and load its library.

    Parameters
    ----------
    folder : Path
    embedder : Embedder
    store : EmbeddingStore

    Returns
    -------
    library : Library
    artists : dict of str to str
        Artist by absolute path, for the files whose artist metadata.csv names.
    errors : list of str
        One message for each file that cannot be used.

    Raises
    ------
    GenreError
        The folder is missing or has no audio file, its metadata.csv is invalid, or the store cannot be used.
    """
    from genre_core.datasets import listing
    from genre_core.datasets.folder import scan
    from genre_core.library.embeddings import update
    from genre_core.library.similar import open_library

    if not folder.is_dir():
        raise GenreError(f"{folder}: not a folder; name the folder of your music")
    scanned = scan(folder, read_tags=False)  # the store keeps the artists of tags
    if scanned.skipped:
        say(f"{folder}: {listing.summary(scanned.skipped)}", sys.stderr)
    if not scanned.files:
        raise GenreError(f"{folder}: no audio file in this folder")
    path_of = {name: os.path.abspath(folder / file) for name, file in scanned.files.items()}  # noqa: PTH100 (links stay)
    artists = {path_of[track.path]: track.artist for track in scanned.tracks if track.artist and track.path in path_of}
    done = update(store, embedder, path_of.values())
    library = open_library(store, done.files, folder, artists)
    say(
        f"{folder}: {len(done.files)} tracks, {done.computed} computed now, {len(done.files) - done.computed} from {store.path}",
        sys.stderr,
    )
    if not artists and all(file.artist is None for file in done.files.values()):
        say("artists are not known: metadata.csv names none, and tags are not read without pip install '.[tags]'", sys.stderr)
    return library, artists, list(done.failed.values())


def _as_json(neighbour: Neighbour) -> dict[str, Any]:
    return {
        "file": as_text(neighbour.track.name),
        "artist": neighbour.track.artist,
        "similarity": round(neighbour.similarity, 4),
        "same_artist": neighbour.same_artist,
    }
