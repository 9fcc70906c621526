"""Open every track, split by the protocol, cut windows."""

from genre_core import config
from genre_core.corpus import segment
from genre_core.project import AUDIT, INDEX, RAW
from stages.run import run


def main() -> str:
    params = config.load()
    pairs = segment.read_pairs(AUDIT / "pairs.csv")
    made = segment.build(RAW, INDEX, **params.segment.model_dump(), pairs=pairs, workers=params.workers)
    tracks = ", ".join(f"{count} {side}" for side, count in made["tracks"].items())
    crossing = (
        f"{made['crossing_tracks']} tracks, {made['crossing_artists']} known artists, {made['copies']['crossing']} pairs of copies cross"
    )
    rejected = f"{made['rejected']} rejected" + (f" (see {INDEX / 'rejected.csv'})" if made["rejected"] else "")
    leaky = "LEAKY: " if made["leaky"] else ""
    return f"segment: protocol {made['protocol']}: {tracks} tracks; {rejected}; {leaky}{crossing}; in {INDEX}"


if __name__ == "__main__":
    run(main)
