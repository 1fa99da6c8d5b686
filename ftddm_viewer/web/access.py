"""Access to the page: addresses, and what strangers may do."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

from ftddm_core.errors import FtddmError, SettingsError

OPEN_TO_ALL = (
    "Anybody who can reach this page could upload files to this computer and use it: set a "
    "password with --auth FILE, show the bundled case only with --no-uploads, or allow it with "
    "--no-password."
)

NO_HOST = (
    "--host is empty: give an address of this computer, such as 127.0.0.1, or 0.0.0.0 for all of "
    "its addresses."
)


def plain_host(host: str) -> str:
    """Return an address without the brackets of an IPv6 address in a link.

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
    """Return an address in the form of a link: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def near_host(host: str) -> str:
    """Return the host under which this computer's own browser finds an address."""
    if not is_everywhere(host):
        return host
    return "::1" if ":" in host else "127.0.0.1"


def is_everywhere(host: str) -> bool:
    """Return whether an address stands for all addresses of this computer."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def reach(host: str) -> str:
    """Return the address for other computers in words, "" if there is none."""
    if is_loopback(host):
        return ""
    where = "any of this computer's addresses" if is_everywhere(host) else linked_host(host)
    return f"Other computers reach it at {where}."


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached only from this computer."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(
    host: str, *, share: bool, auth: Path | None, uploads: bool, no_password: bool
) -> None:
    """Raise a SettingsError if strangers could upload files without explicit permission."""
    exposed = share or not is_loopback(host)
    if exposed and uploads and auth is None and not no_password:
        raise SettingsError(OPEN_TO_ALL)


def free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0.

    Raises
    ------
    FtddmError
        If the port is in use, or the address does not belong to this computer.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # a port released a moment ago can be reused
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
