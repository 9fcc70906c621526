"""Accuracy on unheard artists from a few examples of each genre, for each embedding.

It reads what `make mine` left in data/: ``python -m experiments.few_examples [DRAWS]``. For each draw, up to half of the artists of a
genre give its examples (one track of each artist first); all tracks of all other artists are the test. A genre of one artist is
learned but not tested.
"""

from __future__ import annotations

import sys

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from genre_core.corpus import cross_validation, index
from genre_core.models import file as model_file
from genre_core.project import INDEX, MODEL
from genre_core.training.fit_all import read_examples
from genre_core.training.nested import DEFAULT_C, EMBEDDINGS, Candidate, Examples, Head, choose

EXAMPLES = (2, 5, 10)  # per genre
INNER_FOLDS = 5


def draw(examples: Examples, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw up to `count` tracks of each genre; return their numbers.

    At most half of the artists of a genre are drawn from, and each gives one track before any gives a second one.
    """
    chosen: list[int] = []
    groups = np.array(examples.groups)
    for genre in np.unique(examples.genres):
        shuffled = rng.permutation(np.flatnonzero(examples.genres == genre))
        artists = list(dict.fromkeys(groups[shuffled]))
        heard = artists[: max(1, len(artists) // 2)]
        tracks_of = {artist: [int(track) for track in shuffled if groups[track] == artist] for artist in heard}
        ranked = sorted((rank, heard.index(artist), track) for artist, tracks in tracks_of.items() for rank, track in enumerate(tracks))
        chosen += [track for _, _, track in ranked[:count]]
    return np.array(chosen)


def accuracy(examples: Examples, candidate: Candidate, fitted: np.ndarray, test: np.ndarray) -> float:
    """Compute the share of test tracks that a head gets right."""
    head = Head(examples, candidate, fitted)
    right = [int(head.logits(examples.windows_of[track]).exp().mean(0).argmax()) == examples.genres[track] for track in test]
    return float(np.mean(right))


def main(draws: int) -> None:
    split = index.read(INDEX)
    groups = {track: row.group for track, row in index.read_folds(INDEX).items()}
    examples, _ = read_examples(model_file.load(MODEL), split, groups)
    group_of = np.array(examples.groups)
    rng = np.random.default_rng(0)
    artists = len(set(group_of))
    print(f"{draws} draws of {len(group_of)} tracks of {artists} artists; C {DEFAULT_C:g}; mean [95 % of the draws]\n")
    print(f"| examples per genre | test tracks | {' | '.join(EMBEDDINGS)} | auto |")
    print("|---|---|" + "---|" * (len(EMBEDDINGS) + 1))
    for count in EXAMPLES:
        found: dict[str, list[float]] = {name: [] for name in (*EMBEDDINGS, "auto")}
        tests = []
        for _ in tqdm(range(draws), desc=f"{count} examples", disable=None):
            fitted = draw(examples, count, rng)
            test = np.flatnonzero(~np.isin(group_of, group_of[fitted]))
            tests.append(len(test))
            inner = cross_validation.over_artists(
                list(group_of[fitted]), [str(g) for g in examples.genres[fitted]], INNER_FOLDS, 0
            ).of_track
            candidates = {name: Candidate(name, DEFAULT_C) for name in EMBEDDINGS}
            candidates["auto"] = choose(examples, "auto", fitted, np.array(inner)).candidate
            for name, candidate in candidates.items():
                found[name].append(accuracy(examples, candidate, fitted, test))
        cells = [f"{np.mean(x):.3f} [{np.percentile(x, 2.5):.3f}, {np.percentile(x, 97.5):.3f}]" for x in found.values()]
        print(f"| {count} | {np.mean(tests):.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
