"""Ed25519 keys in PEM, as OpenSSL writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class KeyPair:
    """The files of a private key, which only its owner can read, and of its public key."""

    private: Path
    public: Path


def write_key_pair(folder: Path, *, password: bytes | None = None, other_curve: bool = False) -> KeyPair:
    """Write a new pair of keys, optionally encrypted or of another kind."""
    key = ec.generate_private_key(ec.SECP256R1()) if other_curve else Ed25519PrivateKey.generate()
    folder.mkdir(exist_ok=True)
    pair = KeyPair(folder / "key.pem", folder / "public.pem")
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    pair.private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption))
    pair.private.chmod(0o600)
    pair.public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return pair
