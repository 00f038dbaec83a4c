"""Bodies as they arrive: nothing is decompressed, so what is counted is all that there can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

# The codings of RFC 9110 and its registry. Some servers name others, such as "utf-8", for what is no coding at all.
_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})


class EncodedBodyError(Exception):
    """A server compressed a body although it was asked not to."""


def read_raw_body(response: httpx.Response, max_bytes: int) -> bytes:
    """Return the body, or its first `max_bytes`; the request should have sent `Accept-Encoding: identity`.

    Raises:
        EncodedBodyError: it is compressed.
        httpx.TransportError: it cannot be read completely.
    """
    for coding in response.headers.get_list("Content-Encoding", split_commas=True):
        if coding.strip().lower() in _CODINGS:
            raise EncodedBodyError(f"the server compressed it ({coding.strip()}) although it was asked not to")
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) >= max_bytes:
            break
    return bytes(content[:max_bytes])
