"""wetext's Chinese grammars, for what our own tables of rules do not list.

On the tables of readings in tests/text/tables the rules say every number right and wetext 272 of 321, at a seventh of
its speed and without telling which characters became which (docs/decisions/0011); so the rules come first.
"""

import re
import threading
from functools import lru_cache
from typing import Any, Final

_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]+")
# The grammars are shared and composed anew for each text; whether OpenFST may do that from two threads at once is
# documented nowhere.
_lock: Final = threading.Lock()
_loaded: Final[list[Any]] = []


@lru_cache(maxsize=1024)
def read(text: str) -> str | None:
    """What wetext says for a number with its unit: `5mi` is 五英里; None if it leaves anything unread."""
    with _lock:
        if not _loaded:
            import wetext

            _loaded.append(wetext.Normalizer(lang="zh", operator="tn", remove_erhua=False))
        spoken: str = _loaded[0].normalize(text)
    return spoken if _CHINESE.fullmatch(spoken) else None
