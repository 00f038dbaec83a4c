"""Signatures of bundles: Ed25519 over the exact bytes of manifest.json, which has the sha256 of every other file.

Keys are PEM files and a signature is 64 raw bytes, as `openssl genpkey -algorithm ed25519` and `openssl pkeyutl -rawin`
write them, so that any machine with OpenSSL can sign and check bundles too (RFC 8032, RFC 8410).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from reefline.errors import BundleError, ConfigError, UsageError
from reefline.system.extras import Extra, require_extra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_FILE = "manifest.json.sig"
# push.signing_key may name an environment variable that holds the key itself: that is how pods get secrets.
VARIABLE_PREFIX = "env:"
# Returns the signature of a manifest's content.
Signer = Callable[[bytes], bytes]
# Far above any PEM file with one key.
_MAX_KEY_BYTES = 10_000


def load_signer(signing_key: str, *, outside_of: Optional[Path] = None) -> Signer:
    """Return what signs with a private key; `signing_key` is a file's path, or env:NAME.

    A file must be readable by its owner alone, and not be in the folder `outside_of`, which is copied and shared.

    Raises:
        ConfigError: the key is missing, exposed, or no Ed25519 key. No message repeats a key.
    """
    if "\n" in signing_key or "\r" in signing_key or "PRIVATE KEY" in signing_key:
        # Messages repeat the value, and logs keep them.
        raise ConfigError(
            "push.signing_key: expected a file's path or env:NAME, found what may be the key itself (not shown); "
            "put the key into a file, or into an environment variable"
        )
    if signing_key.startswith(VARIABLE_PREFIX):
        content = os.environ.get(signing_key.removeprefix(VARIABLE_PREFIX), "").encode()
        if not content:
            raise ConfigError(
                f"push.signing_key: {signing_key}: the environment variable is not set; set it to the key, "
                "on Kubeflow set it with kubeflow.tasks.Pusher.secrets"
            )
    else:
        content = _read_key_file(Path(signing_key), outside_of)
    return _parse_private_key(content, signing_key).sign


def _read_key_file(path: Path, outside_of: Optional[Path]) -> bytes:
    name = f"push.signing_key: {path}"
    if outside_of is not None and path.resolve().is_relative_to(outside_of.resolve()):
        raise ConfigError(f"{name}: inside the workspace, which others may read; move it out of {outside_of}")
    try:
        if not path.is_file() and path.exists():
            raise ConfigError(f"{name}: not a file; name a key's PEM file")
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise ConfigError(f"{name}: others can access it (mode {mode:o}); run `chmod 600 {path}`")
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise ConfigError(f"{name}: cannot read it ({error.strerror}); correct the path or its permissions") from None


def _parse_private_key(content: bytes, name: str) -> Ed25519PrivateKey:
    require_extra(Extra.SIGNING, "push.signing_key")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    # TypeError: it is encrypted. Its text may show parts of the key, so it is not passed on.
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"push.signing_key: {name}: not an unencrypted Ed25519 private key in PEM; "
            "make one with `openssl genpkey -algorithm ed25519`"
        )
    return key


def check_signature(content: bytes, signature: Optional[bytes], public_key: Path, manifest: object) -> None:
    """Make sure that a key signed a manifest; `signature` is None where there is none.

    `manifest` is where it is, for messages.

    Raises:
        BundleError: the manifest is not signed, or not by this key.
        UsageError: the file holds no Ed25519 public key.
        MissingExtraError: the extra `signing` is not installed.
    """
    require_extra(Extra.SIGNING, f"checking a signature with {public_key}")
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        with public_key.open("rb") as file:
            key = load_pem_public_key(file.read(_MAX_KEY_BYTES))
    except OSError as error:
        raise UsageError(f"{public_key}: cannot read the public key ({error.strerror}); correct the path") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{public_key}: not an Ed25519 public key in PEM; make it with `openssl pkey -in KEY -pubout`")
    if signature is None:
        raise BundleError(f"{manifest}: not signed ({SIGNATURE_FILE} is missing); use a bundle signed with this key")
    try:
        key.verify(signature, content)
    except InvalidSignature:
        raise BundleError(
            f"{manifest}: its signature is not from {public_key}, or the manifest was changed; do not use this bundle"
        ) from None
