"""What the default profile still gets wrong, row by row, so that it stays in sight and a cure shows.

A row that comes out right must move to the tables of test_readings.py.
"""

from collections.abc import Callable

import pytest

# written, what a speaker says, what comes out, why
READINGS = [
    (
        "钥匙落在家里了",
        "yao4 shi5 la4 zai4 jia1 li5 le5",
        "yao4 shi5 luo4 zai4 jia1 li5 le5",
        "落: to fall or to forget",
    ),
    (
        "今早朝霞满天",
        "jin1 zao3 zhao1 xia2 man3 tian1",
        "jin1 zao3 chao2 xia2 man3 tian1",
        "the segmenter cuts 早朝|霞",
    ),
    ("把水倒了", "ba2 shui3 dao4 le5", "ba3 shui2 dao3 le5", "倒 alone: to fall or to pour"),
]


@pytest.mark.parametrize(("written", "right", "comes_out", "why"), READINGS)
def test_this_reading_is_known_to_be_wrong(
    read: Callable[[str], str], written: str, right: str, comes_out: str, why: str
) -> None:
    assert why
    assert read(written) == comes_out
    assert comes_out != right
