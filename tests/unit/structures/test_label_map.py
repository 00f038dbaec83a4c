from __future__ import annotations

import pytest

from reefline.errors import ConfigError
from reefline.structures.label_map import LabelMap, replace_control_characters


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("red\n    cat", "red cat", id="line-break"),
        pytest.param(" \t\ncat\r\n", "cat", id="around"),
        pytest.param("red\u2028cat", "red cat", id="unicode-line-break"),
        pytest.param("a\x9b31mb", "a 31mb", id="terminal-escape"),
        pytest.param("red  cat", "red  cat", id="two-spaces-stay"),
        pytest.param("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937", id="a-joiner-stays"),
    ],
)
def test_control_characters_become_a_space(name: str, expected: str) -> None:
    assert replace_control_characters(name) == expected


def test_a_label_map_refuses_control_characters() -> None:
    with pytest.raises(ConfigError, match=r"'red\\ncat' has a line break or another .* write 'red cat'"):
        LabelMap(("dog", "red\ncat"))
