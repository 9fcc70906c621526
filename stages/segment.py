"""Segment stage: correct labels, check tracks, split them by the protocol, cut windows."""

from genre_core import config
from genre_core.corpus import segment
from genre_core.project import AUDIT, INDEX, RAW
from genre_core.util.result_cache import open_cache
from stages.run import run


def main() -> str:
    params = config.load()
    cache = open_cache(**params.cache.model_dump())
    pairs = segment.read_pairs(AUDIT / "pairs.csv")
    summary = segment.build(RAW, INDEX, **params.segment.model_dump(), pairs=pairs, workers=params.parallel.chosen, cache=cache)
    tracks = ", ".join(f"{count} {side}" for side, count in summary["tracks"].items())
    crossing = (
        f"{summary['crossing_tracks']} tracks, {summary['crossing_artists']} known artists, "
        f"{summary['copies']['crossing']} pairs of duplicates cross"
    )
    changed = f"{summary['corrected']} genres corrected; " if summary["corrected"] else ""
    rejected = f"{summary['rejected']} rejected" + (f" (see {INDEX / 'rejected.csv'})" if summary["rejected"] else "")
    leaky = "LEAKY: " if summary["leaky"] else ""
    return f"segment: {changed}protocol {summary['protocol']}: {tracks} tracks; {rejected}; {leaky}{crossing}; in {INDEX}"


if __name__ == "__main__":
    run(main)
