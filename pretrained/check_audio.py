"""What the packaged model says of GTZAN's own audio, and what its head loses by another implementation of the backbone.

    python -m pretrained.check_audio /path/to/folder     # with metadata.csv: path, genre, split

Tracks of the part `train` are known to the head. For these the published activations are at hand too (`pretrained/data`): the same
head on both tells what our float16 weights, decoding and convolution of whole tracks change.
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
    found = defaultdict(list)
    said = {}
    for row in read_csv(folder / "metadata.csv", ["path", "genre", "split"]):
        answer = predictor.predict_file(folder / row["path"])
        found[row["split"] or "left out"].append((answer.genre == row["genre"], answer.sure))
        said[Path(row["path"]).stem] = answer
    for part, answers in sorted(found.items()):
        right, sure = np.array(answers).T
        print(f"{part}: {right.sum()} of {len(right)} right; sure of {sure.sum()}, {(right & sure).sum()} of these right")
    published = read("training")
    if published and isinstance(predictor.model, GenreModel):
        ours, theirs, gaps = 0, 0, []
        for track, genre, patches in zip(published.tracks, published.genres, published.patches, strict=True):
            if track in said:
                p = probabilities(predictor.model, patches)
                theirs += predictor.model.genres[p.argmax()] == genre
                ours += said[track].genre == genre
                gaps.append(max(abs(said[track].probabilities[g] - p[i]) for i, g in enumerate(predictor.model.genres)))
        gap = f"median largest gap of a probability {np.median(gaps):.3f}"
        print(f"{len(gaps)} training tracks: {theirs} right from published activations, {ours} from ours; {gap}")


if __name__ == "__main__":
    main()
