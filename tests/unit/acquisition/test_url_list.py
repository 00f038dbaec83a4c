from __future__ import annotations

from pathlib import Path

import pytest

from reefline.acquisition.url_list import read_url_list
from reefline.errors import UsageError


def read(tmp_path: Path, text: str) -> dict[str, list[str]]:
    path = tmp_path / "urls.txt"
    path.write_text(text, encoding="utf-8")
    return {label: [hit.url for hit in hits] for label, hits in read_url_list(path).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("http://a/1\nhttps://b/2\n", {"": ["http://a/1", "https://b/2"]}, id="plain"),
        pytest.param("\ufeff# mine\r\n\r\n http://a/1 \r\n", {"": ["http://a/1"]}, id="comments-and-windows"),
        pytest.param("http://a/x,y.jpg?a=1,2\n", {"": ["http://a/x,y.jpg?a=1,2"]}, id="commas-in-addresses"),
        pytest.param("http://a/1,dog\nhttp://a/2,cat\n", {"dog": ["http://a/1"], "cat": ["http://a/2"]}, id="csv"),
        pytest.param("http://a/x,y.jpg\nhttp://a/x,z.PNG\n", {"": ["http://a/x,y.jpg", "http://a/x,z.PNG"]},
                     id="file-names-are-no-labels"),
        pytest.param("http://a/1\nhttp://a/x,y\n", {"": ["http://a/1", "http://a/x,y"]}, id="one-comma-is-no-csv"),
        pytest.param("url,label\nhttp://a/1,dog\nhttp://a/2,\n", {"dog": ["http://a/1"], "": ["http://a/2"]},
                     id="heading"),
        pytest.param('Label,Size,URL\n"big, red",9,"http://a/x,y"\n', {"big, red": ["http://a/x,y"]},
                     id="other-columns-and-quotes"),
    ],
)  # fmt: skip
def test_addresses_are_read_by_label(text: str, expected: dict[str, list[str]], tmp_path: Path) -> None:
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "lists no URL", id="empty"),
        pytest.param("# only\n", "lists no URL", id="comments"),
        pytest.param("url,label\n", "lists no URL", id="heading-only"),
        pytest.param("http://a/1\nfile:///etc/passwd\n", r"line 2: 'file:///etc/passwd' found", id="file-url"),
        pytest.param("cat.jpg\n", r"line 1: 'cat.jpg' found, an http or https URL expected", id="path"),
        pytest.param("http://a/b c\n", r"line 1: .* an http or https URL expected", id="space"),
        pytest.param("x\n" * 30, r"… and 20 more lines", id="many"),
    ],
)
def test_a_bad_list_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=problem):
        read(tmp_path, text)


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"urls\.txt: cannot read it \(No such file"):
        read_url_list(tmp_path / "urls.txt")
    (tmp_path / "urls.txt").write_bytes(b"\xff\xfeh\x00")
    with pytest.raises(UsageError, match=r"urls\.txt: not UTF-8 text"):
        read_url_list(tmp_path / "urls.txt")
