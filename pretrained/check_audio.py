"""Check of the packaged model on GTZAN's audio.

    python -m pretrained.check_audio /path/to/folder     # with metadata.csv: path, genre, artist, split

For each part of the split it prints the accuracy, and the coverage and mean size of the prediction sets. The head was trained on the
tracks with split `train`, so only `valid` has new artists. For these tracks the published activations exist too (`pretrained/data`).
The script applies the head to our activations and to the published activations of a track. The difference between the two
results shows the effect of our float16 weights, our decoding, and our convolution over whole tracks.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from genre_core.corpus.catalogue import artist_group
from genre_core.evaluation.intervals import artist_interval, interval
from genre_core.inference.predictor import Prediction, Predictor
from genre_core.models.model import GenreModel
from genre_core.util.files import read_csv
from pretrained.taggram import probabilities, read

SAMPLES = 2000  # of the bootstrap over artists


def _coverage(outcomes: list[tuple[dict[str, str], Prediction]]) -> str:
    """Describe how often the prediction sets hold the true genre, over tracks and over artists."""
    if not outcomes:
        return "none"
    covered = np.array([row["genre"] in prediction.prediction_set for row, prediction in outcomes], float)
    sizes = [len(prediction.prediction_set) for _, prediction in outcomes]
    names, artist_of = np.unique([artist_group(row.get("artist", ""), row["path"]) for row, _ in outcomes], return_inverse=True)
    by_artist = np.bincount(artist_of, covered) / np.bincount(artist_of)
    over_tracks = interval(covered.mean(), *artist_interval(covered, artist_of, SAMPLES, 0))
    over_artists = interval(by_artist.mean(), *artist_interval(by_artist, np.arange(len(names)), SAMPLES, 0))
    return (
        f"{covered.sum():.0f} of {len(covered)} hold the true genre, {over_tracks}; with the same weight for each of {len(names)} artists "
        f"{over_artists}; {np.mean(sizes):.2f} genres in a set; promised {outcomes[0][1].coverage:g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    predictor = Predictor("pretrained")
    outcomes_of_split: dict[str, list[tuple[dict[str, str], Prediction]]] = defaultdict(list)
    predictions = {}
    for row in read_csv(folder / "metadata.csv", ["path", "genre", "split"]):
        prediction = predictor.predict_file(folder / row["path"])
        outcomes_of_split[row["split"] or "left out"].append((row, prediction))
        predictions[Path(row["path"]).stem] = prediction
    for split, outcomes in sorted(outcomes_of_split.items()):
        right = np.array([prediction.genre == row["genre"] for row, prediction in outcomes])
        sure = np.array([prediction.sure for _, prediction in outcomes])
        print(f"{split}: {right.sum()} of {len(right)} tracks right; sure of {sure.sum()} tracks, {(right & sure).sum()} of these right")
        print(f"  prediction sets: {_coverage([(row, p) for row, p in outcomes if p.prediction_set])}")
    published = read("training")
    if published and isinstance(predictor.model, GenreModel):
        right_ours, right_published, gaps = 0, 0, []
        for track, genre, patches in zip(published.tracks, published.genres, published.patches, strict=True):
            if track in predictions:
                p = probabilities(predictor.model, patches)
                right_published += predictor.model.genres[p.argmax()] == genre
                right_ours += predictions[track].genre == genre
                gaps.append(max(abs(predictions[track].probabilities[g] - p[i]) for i, g in enumerate(predictor.model.genres)))
        gap = f"median over tracks of the largest difference of a probability: {np.median(gaps):.3f}"
        print(f"{len(gaps)} training tracks: {right_published} right with published activations, {right_ours} with ours; {gap}")


if __name__ == "__main__":
    main()
