"""The published weights that a template names in its header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from reefline.errors import ConfigError

_LINE = re.compile(r"^#\s*(published(?:_[a-z0-9]+)?):[ \t]*(.*?)\s*$", re.MULTILINE)
_KEYS = ("published", "published_sha256", "published_license", "published_knows")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PublishedStart:
    """Weights to start from: where the file is, its sha256, its licence, and what it was trained on."""

    url: str
    sha256: str
    license: str
    knows: str


def parse_published_start(text: str, source: str) -> Optional[PublishedStart]:
    """Read the header lines `# published: URL`, `# published_sha256:`, `# published_license:`, `# published_knows:`.

    Raises:
        ConfigError: one of the lines is missing, unknown or malformed; None of them is fine.
    """
    found = dict(_LINE.findall(text))
    if not found:
        return None
    for key in found:
        if key not in _KEYS:
            raise ConfigError(f"{source}: unknown line '# {key}:'; expected {', '.join(_KEYS)}")
    for key in _KEYS:
        if not found.get(key):
            raise ConfigError(f"{source}: the line '# {key}:' is missing or empty; add it next to '# published: URL'")
    url, sha256, license_name, knows = (found[key] for key in _KEYS)
    if not url.startswith(("https://", "http://")):
        raise ConfigError(f"{source}: '# published: {url}' is not a URL; expected https://…")
    if not _SHA256.fullmatch(sha256):
        raise ConfigError(f"{source}: '# published_sha256: {sha256}' is not a sha256; expected 64 hexadecimal digits")
    return PublishedStart(url, sha256, license_name, knows)
