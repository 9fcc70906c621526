"""Download stage: audio and catalogue of the chosen data set."""

import shutil

from genre_core import config
from genre_core.project import DOWNLOADS, RAW
from stages.run import run


def main() -> str:
    params = config.load()
    shutil.rmtree(RAW, ignore_errors=True)
    if params.dataset.name == "demo":
        from genre_core.datasets import demo

        tracks = demo.download(RAW, **params.dataset.demo.model_dump(), workers=params.parallel.chosen)
    elif params.dataset.name == "gtzan":
        from genre_core.datasets import gtzan

        tracks = gtzan.download(RAW, **params.dataset.gtzan.model_dump(), downloads=DOWNLOADS / "gtzan")
    elif params.dataset.name == "fma":
        from genre_core.datasets import fma

        tracks = fma.download(RAW, **params.dataset.fma.model_dump(), downloads=DOWNLOADS / "fma")
    elif params.dataset.name == "features":
        from genre_core.datasets import precomputed, remote

        path = remote.local_features(params.dataset.features.path, DOWNLOADS / "remote")
        tracks = precomputed.download(path, RAW, **params.dataset.features.model_dump(exclude={"path"}))
    else:
        from genre_core.datasets import folder, remote

        own = params.dataset.folder
        root = remote.local_music(own.path, DOWNLOADS / "remote")
        tracks = folder.download(
            root, RAW, source=own.labels, aliases=own.aliases, min_tracks=own.min_tracks, workers=params.parallel.chosen
        )
    return f"download: {params.dataset.name}: {len(tracks)} tracks of {len({t.genre for t in tracks})} genres in {RAW}"


if __name__ == "__main__":
    run(main)
