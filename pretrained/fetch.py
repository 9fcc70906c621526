"""Stage `fetch`: download or copy the published activations.

The training part is required. The evaluation part may be missing; the reason is then in status.json.
"""

import shutil
from pathlib import Path

from genre_core.errors import GenreError
from genre_core.project import DOWNLOADS
from genre_core.util.download import FetchError, fetch
from genre_core.util.files import digest, write_json
from pretrained.taggram import DATA, PARTS, URL, params
from stages.run import run


def main() -> str:
    chosen = params()
    DATA.mkdir(parents=True, exist_ok=True)
    status = {}
    for part, (name, sha256) in PARTS.items():
        local = getattr(chosen, f"{part}_path")
        try:
            if local:
                if not Path(local).is_file() or digest(local) != sha256:
                    raise FetchError(f"{part}_path: {local} is missing, or is not {name} (SHA-256 {sha256})")
                source = Path(local)
            elif chosen.online:
                source = fetch(URL + name, DOWNLOADS / name, max_bytes=100_000_000, sha256=sha256, tries=3)
            else:
                raise FetchError(f"online is false and {part}_path is empty")
            shutil.copy(source, DATA / f"{part}.npz")
            status[part] = "ok"
        except FetchError as error:
            if part == "training":
                raise GenreError(f"cannot get the training part: {error}; name a local copy in pretrained/params.yaml") from None
            status[part] = f"not fetched: {error}"
    write_json(DATA / "status.json", status)
    return f"fetch: {status}"


if __name__ == "__main__":
    run(main)
