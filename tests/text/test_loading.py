"""Importing the front end has no effect; its first use writes nothing anywhere."""

import subprocess
import sys
from pathlib import Path

IMPORT = """
import sys
from kelong_speech.text import frontend
heavy = {"jieba", "wetext", "pypinyin", "torch", "numpy"} & sys.modules.keys()
assert not heavy, heavy
"""
USE = """
import concurrent.futures
import logging
logging.basicConfig(level=logging.DEBUG)
from kelong_speech.text import frontend
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    said = set(pool.map(frontend.analyse, ["我有3个苹果。"] * 8))
assert len(said) == 1
"""


def _python(code: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    environment = {"TMPDIR": str(temporary), "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_importing_it_loads_no_dictionary(tmp_path: Path) -> None:
    result = _python(IMPORT, tmp_path)
    assert result.returncode == 0, result.stderr


def test_its_first_use_is_silent_and_leaves_no_cache_behind(tmp_path: Path) -> None:
    result = _python(USE, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
