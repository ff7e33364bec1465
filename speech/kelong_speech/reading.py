"""The front end that an order asks for: its profile, its lexicon and its polyphone model.

Trainer, server and batch open it here, so that a voice is spoken to as it was taught.
"""

from __future__ import annotations

import pathlib

from kelong_contract import orders
from kelong_contract import store as stores

from kelong_speech import sources
from kelong_speech.text import frontend, polyphones


def front_end(
    profile: str,
    text: orders.Text,
    wanted: orders.Sources,
    namespace: str,
    store: stores.Store,
    cache_dir: pathlib.Path,
) -> frontend.FrontEnd:
    """What reads a voice's texts: made once for a voice, by trainer, auditions, server and batch alike.

    `profile` is the training order's, or the one in the voice's `config.json`. `as-original` reads without a polyphone
    model, so that none is fetched for it. Raises frontend.BadLexicon and sources.ModelSourceUnavailable.
    """
    rules = frontend.Profile(profile)
    lexicon = frontend.Lexicon.from_entries(text.lexicon)
    if rules is frontend.Profile.AS_ORIGINAL:
        return frontend.FrontEnd(rules, lexicon=lexicon)
    model = polyphone_model(wanted, namespace, store, cache_dir)
    return frontend.FrontEnd(rules, lexicon=lexicon, polyphones=model)


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
