"""The names of licenses, as people write them: CC BY-SA 4.0."""

from __future__ import annotations

import html
import re

# https://www.flickr.com/services/api/flickr.photos.licenses.getInfo.html; 11 to 16 are the 4.0 versions.
_FLICKR = {
    "0": "All rights reserved",
    "1": "CC BY-NC-SA 2.0",
    "2": "CC BY-NC 2.0",
    "3": "CC BY-NC-ND 2.0",
    "4": "CC BY 2.0",
    "5": "CC BY-SA 2.0",
    "6": "CC BY-ND 2.0",
    "7": "No known copyright restrictions",
    "8": "United States Government Work",
    "9": "CC0 1.0",
    "10": "Public Domain Mark 1.0",
    "11": "CC BY 4.0",
    "12": "CC BY-SA 4.0",
    "13": "CC BY-ND 4.0",
    "14": "CC BY-NC 4.0",
    "15": "CC BY-NC-SA 4.0",
    "16": "CC BY-NC-ND 4.0",
}
_CREATIVE_COMMONS_URL = "https://creativecommons.org/"
_NAMED = re.compile(r"CC (BY[A-Z-]*) (\d\.\d)")
_PUBLIC_DOMAIN = re.compile(r"\b(?:CC0|public domain|PDM)\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def name_creative_commons(code: str | None, version: str | None) -> str | None:
    """Return the name of a license that Openverse gives by code (by-sa, cc0, pdm) and version."""
    if not code:
        return None
    name = {"cc0": "CC0", "pdm": "Public Domain Mark"}.get(code.lower(), f"CC {code.upper()}")
    return f"{name} {version}" if version else name


def name_flickr(number: str) -> str | None:
    """Return the name of a license that Flickr gives by number; None if the number is new."""
    return _FLICKR.get(number)


def find_license_url(name: str | None) -> str | None:
    """Return where a Creative Commons license can be read."""
    if name is None:
        return None
    if name.startswith("CC0"):
        return f"{_CREATIVE_COMMONS_URL}publicdomain/zero/1.0/"
    if name.startswith("Public Domain Mark"):
        return f"{_CREATIVE_COMMONS_URL}publicdomain/mark/1.0/"
    found = _NAMED.fullmatch(name)
    return f"{_CREATIVE_COMMONS_URL}licenses/{found[1].lower()}/{found[2]}/" if found else None


def is_public_domain(name: str | None) -> bool:
    """Return whether the name of a license says that the work is in the public domain."""
    return name is not None and _PUBLIC_DOMAIN.search(name) is not None


def strip_tags(text: str | None) -> str | None:
    """Return a fragment of HTML as one line of text, None if nothing is left."""
    plain = " ".join(html.unescape(_TAG.sub(" ", text or "")).split())
    return plain or None
