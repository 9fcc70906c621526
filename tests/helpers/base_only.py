"""Run ``genre`` as if only the base dependencies were installed: python -m helpers.base_only predict song.wav."""

import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(requirements: Iterable[str]) -> set[str]:
    """Names of the distributions that `requirements` bring on this machine, directly or not."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, wanted = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted}):
            continue
        for extra in ("", *requirement.extras):
            key = (canonical(requirement.name), extra)
            if key not in found:
                found.add(key)
                try:
                    waiting += [(Requirement(text), extra) for text in requires(requirement.name) or []]
                except PackageNotFoundError:  # not needed on this platform, or installed without its requirements
                    continue
    return {name for name, _ in found}


def hidden() -> set[str]:
    """Top-level modules of all other installed distributions."""
    base = distributions(PROJECT["dependencies"])
    owners = {module: {canonical(name) for name in names} for module, names in packages_distributions().items()}
    return {module for module, names in owners.items() if not names & (base | {canonical(PROJECT["name"])})}


class OnlyBase(PathFinder):
    """Finder that does not find the modules of other distributions."""

    hidden = hidden()

    @classmethod
    def find_spec(cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return None if fullname.split(".", maxsplit=1)[0] in cls.hidden else super().find_spec(fullname, path, target)


if __name__ in ("__main__", "__mp_main__"):  # the latter: a worker process
    for name in [name for name in sys.modules if name.split(".")[0] in OnlyBase.hidden]:
        del sys.modules[name]
    sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyBase

if __name__ == "__main__":
    from genre_core.apps.cli.main import main

    sys.exit(main(sys.argv[1:]))
