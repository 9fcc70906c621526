"""``genre explain``: show the frequency bands that the predicted genre depends on."""

from __future__ import annotations

import argparse
from pathlib import Path

from genre_core.apps.cli.common import chosen_predictor
from genre_core.errors import GenreError
from genre_core.terminal import say, say_json


def explain(chosen: argparse.Namespace) -> int:
    """Explain the predicted genre of a file by occlusion of frequency bands."""
    from genre_core.analysis.occlusion import explain as occlude
    from genre_core.reports import figures_prediction

    if chosen.out and chosen.out.suffix.lower() != ".png":
        raise GenreError(f"--out {chosen.out}: write to a .png file")
    name, predictor = chosen_predictor(chosen.model)
    model = predictor.model
    if chosen.genre and chosen.genre not in model.genres:
        raise GenreError(f"--genre {chosen.genre}: the model knows {', '.join(model.genres)}")
    prediction, audio = predictor.decode_and_predict(chosen.file)
    genre, starts = chosen.genre or prediction.genre, prediction.starts_seconds.tolist()
    occlusion = occlude(model.timeline_model(), audio.y, audio.sample_rate, starts, genre)
    if chosen.out:
        title = f"{Path(chosen.file).name}: {occlusion.genre} {occlusion.whole:.2f}"
        figures_prediction.explanation(chosen.out, occlusion, segment_seconds=prediction.window_seconds, title=title)
    if chosen.json:
        edges = occlusion.edges_hz.tolist()
        bands = zip(edges[:-1], edges[1:], occlusion.falls, strict=True)
        moments = zip(occlusion.starts_seconds.tolist(), occlusion.probability.tolist(), strict=True)
        answer = {
            "file": chosen.file,
            "genre": occlusion.genre,
            "probability": occlusion.whole,
            "bands": [{"low_hz": low, "high_hz": high, "fall": float(fall)} for low, high, fall in bands],
            "moments": [{"start_s": start, "probability": p} for start, p in moments],
            "model": name,
        }
        say_json(answer)
        return 0
    say(f"{chosen.file}: {occlusion.genre} {occlusion.whole:.2f}; its probability falls without")
    for band, fall in sorted(occlusion.bands, key=lambda item: -item[1]):
        say(f"  {band:>16}  {fall:+.3f}")
    return 0
