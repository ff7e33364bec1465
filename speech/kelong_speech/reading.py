"""The front end that an order asks for: its profile, its lexicon and its polyphone model.

Trainer, server and batch open it here, so that a voice is spoken to as it was taught.
"""

from __future__ import annotations

import pathlib

from kelong_contract import orders
from kelong_contract import store as stores

from kelong_speech import sources
from kelong_speech.text import polyphones


def polyphone_model(
    wanted: orders.Sources, namespace: str, store: stores.Store, cache_dir: pathlib.Path
) -> polyphones.PolyphoneModel:
    """The model that reads polyphones: g2pM's unless the order names another or none.

    Raises sources.ModelSourceUnavailable, also for a folder that holds no such model.
    """
    address = wanted.polyphone or polyphones.BUNDLED
    folder = None
    if address not in (polyphones.BUNDLED, polyphones.NONE):
        folder = sources.resolve(address, namespace, store, cache_dir, onnx=True)
    try:
        return polyphones.open_model(address, folder)
    except ValueError as error:
        raise sources.ModelSourceUnavailable(address, str(error).rstrip(".")) from None


def polyphone_identity(wanted: orders.Sources, namespace: str, store: stores.Store) -> str:
    """What a cache key must hold of that model, found without fetching it; raises sources.ModelSourceUnavailable."""
    address = wanted.polyphone or polyphones.BUNDLED
    if address in (polyphones.BUNDLED, polyphones.NONE):
        return polyphones.open_model(address).identity
    return sources.identity(address, namespace, store)
