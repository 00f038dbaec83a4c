"""Errors of object stores, as users can act on them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from reefline.errors import StorageError
from reefline.storage.location import Location, Scheme

_CREDENTIALS = {
    Scheme.S3: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role for this machine",
    Scheme.MINIO: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    Scheme.GCS: "GOOGLE_APPLICATION_CREDENTIALS, or a service account for this machine",
}
_ENDPOINTS = {
    Scheme.S3: "AWS_ENDPOINT_URL and AWS_REGION",
    Scheme.MINIO: "AWS_ENDPOINT_URL",
    Scheme.GCS: "the network",
}
# Asked for the identity of the machine when the environment holds no credentials.
_METADATA_SERVICE = "169.254.169.254"
_DENIED_STATUS = re.compile(r"status code: 40[13]\b")
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_REQUEST = re.compile(r"Error performing \w+ (\w+://[^/\s]+)")
_STATISTICS = re.compile(r" in [\d.]+\w+, after .*? - ")
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist")


def is_missing_bucket(error: Exception) -> bool:
    """Return whether a store's error means that the bucket, not the object, is missing."""
    return _NO_BUCKET.search(str(error)) is not None


@contextlib.contextmanager
def explain_failures(place: Location) -> Iterator[None]:
    """Turn whatever obstore raises into a StorageError; files that are missing locally keep their error.

    Raises:
        StorageError: the store refused or could not be reached.
    """
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (BaseError, FileNotFoundError, ValueError) as error:
        text = str(error)
        if is_missing_bucket(error):
            bucket = Location(place.scheme, place.bucket, "")
            raise StorageError(f"{bucket}: no such bucket; create it, or fix the name") from error
        if isinstance(error, FileNotFoundError):
            raise
        if _METADATA_SERVICE in text:
            raise StorageError(f"{place}: no credentials found; set {_CREDENTIALS[place.scheme]}") from error
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or _DENIED_STATUS.search(text):
            raise StorageError(
                f"{place}: access denied{_name_code(text)}; check {_CREDENTIALS[place.scheme]}"
            ) from error
        raise StorageError(f"{place}: {_summarize(text)}; check {_ENDPOINTS[place.scheme]}, then run again") from error


def _name_code(text: str) -> str:
    code = _CODE.search(text)
    return f" ({code.group(1)})" if code else ""


def _summarize(text: str) -> str:
    """Return an error on one line, without obstore's statistics and debug dump, and the body of the store's answer."""
    request = _REQUEST.search(text)
    if request and "kind: Connect" in text:
        return f"cannot reach {request.group(1)}"
    if request and "kind: Timeout" in text:
        return f"no answer from {request.group(1)}"
    first = " ".join(text.partition("\n\nDebug source")[0].split())
    return _STATISTICS.sub(" - ", first).partition(": <")[0] + _name_code(text)
