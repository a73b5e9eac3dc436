"""The gateway's Ed25519 key: what it signs, and how a signature is checked.

Strategy: the key lies beside the database and is made when it is first needed. The library that signs takes 12 MB of
memory, so a running daemon signs in a short-lived process of its own, once a day; a command signs in its own process.
What is signed of a head is its text without the signature, as canonical JSON, which an auditor can write down again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Container, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from agent.whole import sync

_PRINT_DIGITS, _GROUP = 16, 4
_LONGEST_S = 60.0
_CHILD = "from agent.signing import sign_for; sign_for()"


class KeyUnusableError(Exception):
    """The key's file cannot be read, made or understood; the text says why."""


class Signed(NamedTuple):
    """Who signed, and the signature; bytes as RFC 8032 defines them."""

    public: bytes
    signature: bytes


def key_place(store: Path) -> Path:
    """Where the key of a database lies."""
    return store.with_name(store.name + ".key")


def fingerprint(public: bytes) -> str:
    """What people compare: the first 16 hex digits of the SHA-256 of the 32 bytes of a public key, in fours."""
    digits = sha256(public).hexdigest()[:_PRINT_DIGITS]
    return "-".join(digits[at : at + _GROUP] for at in range(0, _PRINT_DIGITS, _GROUP))


def signed_text(body: Mapping[str, Any]) -> bytes:
    """What is signed of a head or a manifest: everything but the signature, keys sorted, no spaces, UTF-8."""
    told = {name: value for name, value in body.items() if name != "signature"}
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def is_signed_by(public: bytes, text: bytes, signature: bytes) -> bool:
    """Whether the holder of a key has signed this text."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - 12 MB that a daemon must not carry
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def sign(place: Path, text: bytes) -> Signed:
    """Signs in this process, with the key at `place`, which is made where there is none. Raises KeyUnusableError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    try:
        if not place.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _keep(place, pem)
        key = load_pem_private_key(place.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeyUnusableError(f"{place}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusableError(f"{place}: not an Ed25519 key")
    return Signed(key.public_key().public_bytes_raw(), key.sign(text))


def with_signature(manifest: Mapping[str, Any], place: Path, keys: Container[str]) -> dict[str, Any]:
    """The manifest with `key`, `public` and `signature` where the key at `place` has one of these fingerprints.

    As it is where there is no key, or another; none is made. Raises KeyUnusableError.
    """
    if not place.exists():
        return dict(manifest)
    public = sign(place, b"").public
    if fingerprint(public) not in keys:
        return dict(manifest)
    told = {**manifest, "key": fingerprint(public), "public": public.hex()}
    return {**told, "signature": sign(place, signed_text(told)).signature.hex()}


def _keep(place: Path, pem: bytes) -> None:
    """Writes a new key for the directory's owner alone; a kill leaves none or all of it, and never replaces one."""
    part = place.with_name(place.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.geteuid() == 0:  # a command run by root must not shut the service out
            owner = place.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.write(descriptor, pem)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(part, place)
    except FileExistsError:  # somebody was faster: theirs counts
        return
    finally:
        part.unlink()
    sync(place.parent)


class Signing:
    """A signature on its way, in a process of its own: begun when made, taken with `result`."""

    def __init__(self, place: Path, text: bytes) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
            [sys.executable, "-c", _CHILD, str(place), text.hex()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    @property
    def is_over(self) -> bool:
        """Whether `result` need not wait."""
        return self._process.poll() is not None

    def result(self) -> Signed:
        """Waits, at most a minute. Raises KeyUnusableError."""
        try:
            told, _ = self._process.communicate(timeout=_LONGEST_S)
            answer = json.loads(told)
        except (subprocess.TimeoutExpired, ValueError) as error:
            self.stop()
            raise KeyUnusableError("the process that signs gave no answer") from error
        if "error" in answer:
            raise KeyUnusableError(answer["error"])
        return Signed(bytes.fromhex(answer["public"]), bytes.fromhex(answer["signature"]))

    def stop(self) -> None:
        """Gives up."""
        self._process.kill()
        self._process.communicate()


def sign_for() -> None:
    """The child's whole work: signs what its arguments say and tells it on stdout."""
    place, text = sys.argv[1:]
    try:
        signed = sign(Path(place), bytes.fromhex(text))
        told = {"public": signed.public.hex(), "signature": signed.signature.hex()}
    except (KeyUnusableError, ImportError) as error:
        told = {"error": str(error)}
    sys.stdout.write(json.dumps(told))
