"""Who may reach the page and where: addresses, passwords, and what strangers may not do."""

from __future__ import annotations

import hmac
import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path

from ftddm_core.errors import FormatError, FtddmError, SettingsError

OPEN_TO_ALL = (
    "Anybody who reaches this page could upload files to this computer and use it: ask for a "
    "password with --auth FILE, show the bundled case only with --no-uploads, or allow it with "
    "--no-password."
)

NO_HOST = (
    "--host is empty: give an address of this computer, such as 127.0.0.1, or 0.0.0.0 for all of "
    "its addresses."
)


def plain_host(host: str) -> str:
    """Return an address without the brackets that one of IPv6 has in a link.

    Raises
    ------
    SettingsError
        If it is empty.
    """
    host = host.strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1].strip()
    if not host:
        raise SettingsError(NO_HOST)
    return host


def linked_host(host: str) -> str:
    """Return an address as a link writes it: one of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def near_host(host: str) -> str:
    """Return where this computer's own browser finds what is served at an address."""
    if not is_everywhere(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def is_everywhere(host: str) -> bool:
    """Return whether an address stands for all that this computer has."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def reach(host: str) -> str:
    """Return where other computers find the page, "" if nowhere."""
    if is_loopback(host):
        return ""
    where = "any of this computer's addresses" if is_everywhere(host) else linked_host(host)
    return f"Other computers reach it at {where}."


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(
    host: str, *, share: bool, auth: Path | None, uploads: bool, no_password: bool
) -> None:
    """Raise a SettingsError if strangers could upload files without anybody having allowed it."""
    exposed = share or not is_loopback(host)
    if exposed and uploads and auth is None and not no_password:
        raise SettingsError(OPEN_TO_ALL)


def free_port(host: str, port: int) -> int:
    """Return the port, or one that is free for 0.

    Raises
    ------
    FtddmError
        If it is in use, or the address is not this computer's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # a port that was left a moment ago may be taken again
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise FtddmError(
                f"Cannot serve on {host}, port {port}: {reason}. "
                "Choose another with --port, or --port 0 for any that is free."
            ) from None
        return int(probe.getsockname()[1])


def read_passwords(path: Path) -> dict[str, str]:
    """Return name -> password from a file with a line `name:password` each.

    Raises
    ------
    FormatError
        If the file cannot be read, is empty, or a line is of another form; no password is shown.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise FormatError(f"Cannot read {path}: {error.strerror}. Check the path.") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path} is no text: write lines of name:password, in UTF-8.") from None
    passwords: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, colon, password = line.partition(":")
        if not (name.strip() and colon and password):
            raise FormatError(f"Line {number} of {path} is not of the form name:password.")
        if name.strip() in passwords:
            raise FormatError(f"Line {number} of {path} names {name.strip()} a second time.")
        passwords[name.strip()] = password
    if not passwords:
        raise FormatError(f"{path} has no lines: write one or more of name:password.")
    return passwords


def password_check(passwords: dict[str, str]) -> Callable[[str, str], bool]:
    """Return a function (name, password) -> whether they belong together, in constant time."""

    def check(name: str, password: str) -> bool:
        right = passwords.get(name, "")
        same = hmac.compare_digest(right.encode(), password.encode())
        return same and name in passwords

    return check
