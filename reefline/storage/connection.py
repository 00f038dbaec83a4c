"""Connections to object stores, from the environment variables that the platforms use.

S3, MinIO and SeaweedFS: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL or
AWS_ENDPOINT_URL_S3; without keys, the identity of the pod or machine. Google Cloud Storage:
GOOGLE_APPLICATION_CREDENTIALS, or the identity of the pod or machine; GOOGLE_BASE_URL for an emulator. obstore reads
them itself.
"""

from __future__ import annotations

import datetime
import os
from typing import TYPE_CHECKING, Union

from reefline.errors import StorageError
from reefline.storage.location import Location, Scheme

if TYPE_CHECKING:
    from obstore.store import ClientConfig, GCSStore, RetryConfig, S3Store

    Connection = Union[S3Store, GCSStore]

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
# Each is a way to get credentials without asking a cloud's metadata service, which a cluster's own store does not have.
_IDENTITY_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
# obstore's own limits are 30 s for a whole request, which cuts large files on slow lines, and 3 minutes of retries.
_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 30
_REQUEST_TIMEOUT_S = 900
_RETRIES = 4
_RETRY_TIMEOUT_S = 60


def connect(location: Location) -> Connection:
    """Return a connection to a location's bucket; nothing is sent yet.

    Raises:
        StorageError: the environment lacks what the store needs, or holds something that it cannot use.
    """
    from obstore.exceptions import BaseError
    from obstore.store import GCSStore, S3Store

    try:
        if location.scheme is Scheme.GCS:
            options = _client_options(os.environ.get("GOOGLE_BASE_URL", ""))
            return GCSStore(location.bucket, client_options=options, retry_config=_retry_config())
        endpoint = _find_endpoint(location)
        return S3Store(location.bucket, client_options=_client_options(endpoint), retry_config=_retry_config())
    except (BaseError, ValueError, FileNotFoundError) as error:
        reason = str(error).partition("\n")[0]
        raise StorageError(f"{location}: cannot connect ({reason}); check the store's environment variables") from error


def _find_endpoint(location: Location) -> str:
    """Return the URL of an S3 store other than Amazon's, "" for Amazon's.

    Raises:
        StorageError: a store in the cluster has no endpoint or no credentials.
    """
    endpoint = next((value for name in _ENDPOINT_VARIABLES if (value := os.environ.get(name))), "")
    if location.scheme is Scheme.MINIO and not endpoint:
        raise StorageError(f"{location}: set AWS_ENDPOINT_URL to the store's URL, such as http://minio-service:9000")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise StorageError(
            f"{location}: the endpoint {endpoint!r} is not a URL; write http://host:port or https://host"
        )
    if endpoint and not any(os.environ.get(name) for name in _IDENTITY_VARIABLES):
        raise StorageError(
            f"{location}: no credentials for {endpoint}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return endpoint


def _client_options(endpoint: str) -> ClientConfig:
    return {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": datetime.timedelta(seconds=_CONNECT_TIMEOUT_S),
        "read_timeout": datetime.timedelta(seconds=_READ_TIMEOUT_S),
        "timeout": datetime.timedelta(seconds=_REQUEST_TIMEOUT_S),
    }


def _retry_config() -> RetryConfig:
    return {"max_retries": _RETRIES, "retry_timeout": datetime.timedelta(seconds=_RETRY_TIMEOUT_S)}
