"""API keys of the served apps: a file of hashes. The key itself is shown once, to whoever asked for it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AwareDatetime, Field, ValidationError

from bellwether.config.frozen import Frozen
from bellwether.errors import ConfigError, UnknownName

Scope = Literal["read", "write", "admin"]
"""What a key may do: ask; change what is predicted from; change which model answers. None includes another."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

PREFIX = "bw_"
"""How every key begins, so that a scanner for secrets knows one when it sees it."""

RANDOM_BYTES = 32


class Key(Frozen):
    """What is kept of a key."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    created: AwareDatetime


class KeyRing(Frozen):
    """The content of a key file."""

    keys: tuple[Key, ...] = ()

    def find(self, secret: str) -> Key | None:
        """The key whose secret this is. Every hash is compared, each in constant time.

        The hash is a plain SHA-256: a secret has 256 random bits, so that a slow hash would protect nothing more.

        >>> made = Key(name="desk", sha256=digest("bw_x"), scopes=("read",), created="2025-06-30T20:00:00Z")
        >>> KeyRing(keys=(made,)).find("bw_x").name, KeyRing(keys=(made,)).find("bw_y")
        ('desk', None)
        """
        given, found = digest(secret), None
        for key in self.keys:
            if compare_digest(key.sha256, given):
                found = key
        return found


class KeyFile:
    """The key file at ``path``; made by the first `add`, with mode 0600, and replaced as a whole by each change.

    Raises
    ------
    ConfigError
        ``path`` is a URI.
    """

    def __init__(self, path: str) -> None:
        if "://" in path:
            raise ConfigError(f"the key file must be a file, got {path!r}: set BELLWETHER_KEYS to a path")
        self.path = Path(path)

    def read(self) -> KeyRing:
        """All keys; none if there is no file.

        Raises
        ------
        ConfigError
            The file is not a key file.
        """
        try:
            return KeyRing.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return KeyRing()
        except ValidationError as error:  # whose own text would repeat what the file holds
            raise ConfigError(f"{self.path} is no key file ({error.error_count()} mistakes): restore it") from None

    def add(self, name: str, scopes: Sequence[str]) -> str:
        """Make a key, keep its hash, and return it: it cannot be had again.

        Raises
        ------
        ConfigError
            There is a key of this name, the name has other characters than letters, digits, ``.``, ``_`` and ``-``, or
            a scope is unknown.
        """
        secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        with self._held() as ring:
            if any(key.name == name for key in ring.keys):
                raise ConfigError(f"there is a key {name!r}: remove it first, or choose another name")
            made = _key(name, scopes, secret)
            self._write(KeyRing(keys=(*ring.keys, made)))
        return secret

    def remove(self, name: str) -> None:
        """Remove a key; whoever has it is refused from the next request on.

        Raises
        ------
        UnknownName
            There is none of this name.
        """
        with self._held() as ring:
            left = tuple(key for key in ring.keys if key.name != name)
            if len(left) == len(ring.keys):
                raise UnknownName("key", name, [key.name for key in ring.keys])
            self._write(KeyRing(keys=left))

    @contextmanager
    def _held(self) -> Iterator[KeyRing]:
        """The keys, while nobody else changes them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()
        finally:
            os.close(lock)

    def _write(self, ring: KeyRing) -> None:
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(ring.model_dump(mode="json"), indent=2).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            self._settle()
        finally:
            draft.unlink(missing_ok=True)

    def _settle(self) -> None:
        """Let the change outlive a loss of power: a key that was removed must not come back."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def digest(secret: str) -> str:
    """What is kept instead of a secret: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _key(name: str, scopes: Sequence[str], secret: str) -> Key:
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise UnknownName("scope", ", ".join(unknown), SCOPES)
    try:
        given = tuple(scope for scope in SCOPES if scope in scopes)
        return Key(name=name, sha256=digest(secret), scopes=given, created=datetime.now(UTC).replace(microsecond=0))
    except ValidationError:
        raise ConfigError(
            f"a key's name has up to 64 letters, digits, '.', '_' and '-', a letter or digit first; got {name!r}"
        ) from None
