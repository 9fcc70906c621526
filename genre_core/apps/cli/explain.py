"""``genre explain``: show what carried the decision on a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.apps.cli.common import chosen_predictor
from genre_core.errors import GenreError
from genre_core.terminal import say, say_json


def explain(chosen: argparse.Namespace) -> int:
    from genre_core.analysis.occlusion import explain as occlude
    from genre_core.reports import figures_prediction

    if chosen.out and chosen.out.suffix.lower() != ".png":
        raise GenreError(f"--out {chosen.out}: write to a .png file")
    name, predictor = chosen_predictor(chosen.model)
    model = predictor.model
    if chosen.genre and chosen.genre not in model.genres:
        raise GenreError(f"--genre {chosen.genre}: the model knows {', '.join(model.genres)}")
    said, audio = predictor.decode_and_predict(chosen.file)
    found = occlude(model.timeline_model(), audio.y, audio.sample_rate, said.starts_seconds.tolist(), chosen.genre or said.genre)
    if chosen.out:
        title = f"{Path(chosen.file).name}: {found.genre} {found.whole:.2f}"
        figures_prediction.explanation(chosen.out, found, segment_seconds=said.window_seconds, title=title)
    if chosen.json:
        edges = found.edges_hz.tolist()
        bands = zip(edges[:-1], edges[1:], found.falls, strict=True)
        moments = zip(found.starts_seconds.tolist(), found.probability.tolist(), strict=True)
        shown = {
            "file": chosen.file,
            "genre": found.genre,
            "probability": found.whole,
            "bands": [{"low_hz": low, "high_hz": high, "fall": float(fall)} for low, high, fall in bands],
            "moments": [{"start_s": start, "probability": p} for start, p in moments],
            "model": name,
        }
        say_json(shown)
        return 0
    say(f"{chosen.file}: {found.genre} {found.whole:.2f}; its probability falls without")
    for band, fall in sorted(found.bands, key=lambda item: -item[1]):
        say(f"  {band:>16}  {fall:+.3f}")
    return 0
