"""What tests of comparison share."""

from genre_core.util.files import write_csv


def predictions(path, right, artists=None, true="rock"):
    rows = [
        {"track": f"t{i}", "artist": artists[i] if artists else "", "true": true, "predicted": true if ok else "pop"}
        for i, ok in enumerate(right)
    ]
    write_csv(path, ["track", "artist", "true", "predicted"], rows)
    return path
