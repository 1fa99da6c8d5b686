"""Names under which the page answers, and sites that may use it.

A browser that was led here by another site names that site as `Origin`, or, if the site had its own
name resolve to this computer, as `Host`. Both are compared with what is known here.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ftddm_core.errors import SettingsError
from ftddm_viewer.web.access import is_everywhere, is_loopback, plain_host

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PORTS = {"http": 80, "https": 443}
NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")


def split_host(text: str) -> tuple[str, int | None]:
    """Return name, in lower case and without brackets, and port of a `Host`; ("", None) if it is
    not one."""
    try:
        parts = urlsplit(f"//{text.strip()}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    plain = not (parts.path or parts.query or parts.fragment or parts.username)
    return (name.rstrip("."), port) if plain else ("", None)


def split_origin(text: str) -> tuple[str, str, int] | None:
    """Return scheme, name and port of an `Origin`; None if it is not one, such as "null"."""
    scheme, separator, host = text.strip().partition("://")
    name, port = split_host(host)
    if not separator or scheme not in PORTS or not name:
        return None
    return scheme, name, PORTS[scheme] if port is None else port


def checked_host(text: str) -> str:
    """Return a name to answer to: one name, or all below one as *.example.org.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    name = plain_host(text).lower()
    with suppress(ValueError):
        return str(ipaddress.ip_address(name))
    if not NAME.fullmatch(name):
        raise SettingsError(
            f"{text!r:.80} is not the name of a computer: give one such as viewer.example.org, or "
            "*.example.org for all below it, without scheme and port."
        )
    return name.rstrip(".")


def checked_origin(text: str) -> str:
    """Return a site that may use the page, as scheme://name or scheme://name:port.

    Raises
    ------
    SettingsError
        If it is not one.
    """
    if (found := split_origin(text.rstrip("/"))) is None:
        raise SettingsError(
            f"{text!r:.80} is not a site: give scheme, name and, if it is unusual, port, as in "
            "https://portal.example.org."
        )
    scheme, name, port = found
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" if port == PORTS[scheme] else f"{scheme}://{shown}:{port}"


def own_names() -> set[str]:
    """Return the names and addresses of this computer, as far as it knows them."""
    found = {socket.gethostname().lower()}
    with suppress(OSError):
        found.add(socket.getfqdn().lower())
    found |= {f"{name}.local" for name in found if "." not in name}
    with suppress(OSError):
        found |= {
            str(info[4][0]).lower() for info in socket.getaddrinfo(socket.gethostname(), None)
        }
    return found - {""}


@dataclass
class Hosts:
    """Names and sites that are known.

    Parameters
    ----------
    bound
        Address on which the page is served.
    allowed
        More names; see `checked_host`.
    origins
        Other sites that may use the page; see `checked_origin`.
    """

    bound: str
    allowed: Iterable[str] = ()
    origins: Iterable[str] = ()
    _names: set[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._open = not is_loopback(self.bound)
        self._names = {*LOOPBACK, self.bound.lower(), *map(checked_host, self.allowed)}
        if is_everywhere(self.bound):
            self._names |= own_names()
        self.origins = tuple(map(checked_origin, self.origins))

    def add(self, name: str) -> None:
        """Answer to one more name, such as that of a public link."""
        self._names.add(checked_host(name))

    def answers_to(self, host: str) -> bool:
        """Return whether a `Host` is known.

        Where other computers may reach the page, so is any address in numbers: it cannot be another
        site's name that was made to lead here.
        """
        name, _ = split_host(host)
        if not name:
            return False
        if name in self._names or is_loopback(name):
            return True
        if any(k.startswith("*.") and name.endswith(k[1:]) for k in self._names):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._open

    def welcomes(self, origin: str, host: str, scheme: str, *, proxied: bool) -> bool:
        """Return whether a site may use the page.

        Parameters
        ----------
        origin
            As the browser names the site.
        host
            The name under which it asks for the page.
        scheme
            "http" or "https", as the browser uses it.
        proxied
            Whether a proxy of this computer passed the request on: it may leave out the port.
        """
        found = split_origin(origin)
        if found is None:
            return False
        if self.is_other(origin):
            return True
        name, port = split_host(host)
        same = found[1] == name and bool(name)
        if proxied and port is None:
            return same
        return same and found[2] == (PORTS.get(scheme, 80) if port is None else port)

    def is_other(self, origin: str) -> bool:
        """Return whether an origin is one of the other sites that may use the page."""
        try:
            return checked_origin(origin) in tuple(self.origins)
        except SettingsError:
            return False
