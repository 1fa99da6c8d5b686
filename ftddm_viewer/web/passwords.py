"""Logins: a file with the hash of each password, and how often a wrong one may be tried.

A line is ``name:scrypt:n:r:p:salt:hash`` with salt and hash in base64. The hash is scrypt (RFC
7914), which takes 16 MB and some hundredths of a second for every guess.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from time import monotonic

from ftddm_core.errors import FormatError, SettingsError
from ftddm_viewer.web import limits

LOG = logging.getLogger("ftddm.web")

SHORTEST = 8
"""Letters of the shortest password."""

WAY_OUT = "write it with: ftddm web --auth FILE --add-user NAME"


@dataclass(frozen=True)
class Hash:
    """A hashed password.

    Parameters
    ----------
    salt, digest
        The salt, and scrypt of the password with it.
    n, r, p
        Its cost: 128 n r bytes of memory.
    """

    salt: bytes
    digest: bytes
    n: int = 2**14
    r: int = 8
    p: int = 1

    @classmethod
    def of(cls, password: str) -> Hash:
        """Hash a password with a new salt."""
        made = cls(secrets.token_bytes(16), b"")
        return cls(made.salt, made.again(password))

    @classmethod
    def read(cls, text: str) -> Hash:
        """Return the hash of a line's second part; raises a ValueError if it is not one."""
        kind, *cost, salt, digest = text.strip().split(":")
        n, r, p = map(int, cost)
        sane = kind == "scrypt" and n * r <= 2**20 and 0 < p <= 16 and r > 0 and n & (n - 1) == 0
        if not sane or n < 2:
            raise ValueError("not a hash")
        found = cls(_bytes(salt), _bytes(digest), n, r, p)
        if not found.salt or not found.digest:
            raise ValueError("not a hash")
        return found

    def __str__(self) -> str:
        kept = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return ":".join(["scrypt", *map(str, (self.n, self.r, self.p)), *kept])

    def again(self, password: str) -> bytes:
        """Return scrypt of a password with this salt and cost."""
        memory = 256 * self.n * self.r + (1 << 20)
        return hashlib.scrypt(
            password.encode(), salt=self.salt, n=self.n, r=self.r, p=self.p, maxmem=memory
        )

    def fits(self, password: str) -> bool:
        """Return whether it is the hash of a password."""
        return hmac.compare_digest(self.again(password), self.digest)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def read_passwords(path: Path) -> dict[str, Hash]:
    """Return name -> hash from a file of passwords.

    Raises
    ------
    FormatError
        If the file cannot be read, is empty, or a line is of another form, such as one with a plain
        password; no password is shown.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise FormatError(f"Cannot read {path}: {error.strerror}. Check the path.") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path} is not text in UTF-8: {WAY_OUT}.") from None
    passwords: dict[str, Hash] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, colon, rest = line.partition(":")
        if not (name.strip() and colon and rest):
            raise FormatError(f"Line {number} of {path} is not that of a user: {WAY_OUT}.")
        try:
            found = Hash.read(rest)
        except ValueError:
            raise FormatError(
                f"Line {number} of {path} holds a password in plain text, or damaged: remove the "
                f"line, and {WAY_OUT}."
            ) from None
        if name.strip() in passwords:
            raise FormatError(f"Line {number} of {path} names {name.strip()} a second time.")
        passwords[name.strip()] = found
    if not passwords:
        raise FormatError(f"{path} has no lines: {WAY_OUT}.")
    return passwords


def add_user(path: Path, name: str, password: str) -> bool:
    """Write a user's hashed password into a file that only its owner can read.

    The file is made if it is missing; other users' lines stay.

    Returns
    -------
    bool
        Whether the user was there, with another password.

    Raises
    ------
    SettingsError
        If the name or the password cannot be used.
    FormatError
        If the file is there and cannot be read or written.
    """
    name = name.strip()
    if not name or ":" in name or not name.isprintable() or len(name) > limits.LONGEST_KEY:
        raise SettingsError("A user's name is one line of 1 to 64 letters without a colon.")
    if len(password) < SHORTEST:
        raise SettingsError(f"A password has {SHORTEST} letters or more.")
    known = read_passwords(path) if path.exists() and path.stat().st_size else {}
    before = name in known
    known[name] = Hash.of(password)
    content = "".join(f"{user}:{found}\n" for user, found in known.items())
    try:
        handle, place = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        Path(place).replace(path)  # as it was made: for its owner only
    except OSError as error:
        raise FormatError(f"{path} could not be written: {error.strerror}.") from error
    return before


def doubt_about(path: Path) -> str:
    """Return a warning if others can read a file of passwords, "" if not."""
    if os.name != "posix" or not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ""
    return (
        f"Other users of this computer can read or change {path}: allow it to yourself only, with "
        f"chmod 600 {path}."
    )


def password_check(passwords: dict[str, Hash]) -> Callable[[str, str], Awaitable[bool]]:
    """Return a function that checks name and password, one at a time, beside the event loop.

    It takes the same time for a name that is not known.
    """
    nobody = Hash.of(secrets.token_urlsafe(16))
    turn = Lock()

    def fits(name: str, password: str) -> bool:
        with turn:
            right = passwords.get(name, nobody).fits(password)
        return right and name in passwords

    async def check(name: str, password: str) -> bool:
        return await asyncio.to_thread(fits, name.strip(), password)

    return check


@dataclass
class Failures:
    """Wrong passwords of every address: after a few, each takes twice as long to be allowed.

    Parameters
    ----------
    now
        Returns the time in s.
    """

    now: Callable[[], float] = monotonic
    _of: dict[str, tuple[int, float]] = field(default_factory=dict, init=False, repr=False)
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)

    def wait(self, address: str) -> float:
        """Return for how many seconds an address has to wait before its next try."""
        with self._lock:
            count, last = self._of.get(address, (0, 0.0))
        pause = 2.0 ** min(count - limits.FREE_FAILURES, 16) if count >= limits.FREE_FAILURES else 0
        return max(0.0, last + min(pause, limits.LONGEST_WAIT) - self.now())

    def failed(self, address: str, name: str) -> None:
        """Take up a wrong password, and log it."""
        with self._lock:
            now = self.now()
            self._of = {k: v for k, v in self._of.items() if now - v[1] < limits.FORGOTTEN}
            count = self._of.get(address, (0, 0.0))[0] + 1
            self._of[address] = (count, now)
        LOG.warning("Wrong password for %.80r from %s (%d).", name, address, count)

    def entered(self, address: str) -> None:
        """Take up a right password."""
        with self._lock:
            self._of.pop(address, None)
