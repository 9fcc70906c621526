"""``genre cache``: show or clear the kept results of tracks."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.terminal import say, say_json


def cache(chosen: argparse.Namespace) -> int:
    """Show or clear the kept results of tracks."""
    from genre_core import config
    from genre_core.util.result_cache import ResultCache, chosen_folder

    settings = config.load().cache if Path("params.yaml").is_file() else None
    kept = ResultCache(chosen_folder(chosen.folder or (settings.folder if settings else "")), 0)
    usage = kept.clear() if chosen.clear else kept.usage()
    if chosen.json:
        say_json({"folder": str(kept.folder), "results": usage.results, "bytes": usage.bytes, "cleared": chosen.clear})
        return 0
    count = f"{usage.results} results of tracks, {usage.bytes / 1e6:.1f} MB"
    if chosen.clear:
        say(f"removed from {kept.folder}: {count}")
    else:
        say(f"{kept.folder}: {count}" + (f" of at most {1000 * settings.gigabytes:g} MB (cache.gigabytes)" if settings else ""))
    return 0
