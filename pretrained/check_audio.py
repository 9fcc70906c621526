"""Check of the packaged model on GTZAN's audio.

    python -m pretrained.check_audio /path/to/folder     # with metadata.csv: path, genre, split

The head was trained on the tracks with split `train`. For these tracks the published activations exist too (`pretrained/data`).
The script applies the head to our activations and to the published activations of a track. The difference between the two
results shows the effect of our float16 weights, our decoding, and our convolution over whole tracks.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from genre_core.inference.predictor import Predictor
from genre_core.models.model import GenreModel
from genre_core.util.files import read_csv
from pretrained.taggram import probabilities, read


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    predictor = Predictor("pretrained")
    outcomes_of_split = defaultdict(list)
    predictions = {}
    for row in read_csv(folder / "metadata.csv", ["path", "genre", "split"]):
        prediction = predictor.predict_file(folder / row["path"])
        outcomes_of_split[row["split"] or "left out"].append((prediction.genre == row["genre"], prediction.sure))
        predictions[Path(row["path"]).stem] = prediction
    for split, outcomes in sorted(outcomes_of_split.items()):
        right, sure = np.array(outcomes).T
        print(f"{split}: {right.sum()} of {len(right)} tracks right; sure of {sure.sum()} tracks, {(right & sure).sum()} of these right")
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
