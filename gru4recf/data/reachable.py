"""Whether a host can be reached at all, answered in bounded time."""

import queue
import socket
import threading
from urllib.parse import urlsplit

import requests

from gru4recf.errors import DataUnavailable

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def require_reachable(url: str, seconds: float) -> None:
    """Connect once within `seconds`, whatever the resolver and the number of the host's addresses.

    The time-out of a socket holds for each address of a host and not at all for the resolver, hence the thread.
    """
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    first = urlsplit(proxy if proxy and "://" in proxy else f"http://{proxy}" if proxy else url)
    port = first.port or _PORTS.get(first.scheme, 80)
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def connect() -> None:
        try:
            socket.create_connection((first.hostname, port), seconds).close()
            outcome.put(None)
        except (OSError, UnicodeError) as error:
            outcome.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        error = outcome.get(timeout=seconds)
    except queue.Empty:
        error = TimeoutError()
    if error is not None:
        why = {TimeoutError: f"no connection within {seconds:g} seconds", socket.gaierror: "its name is not resolved"}
        reason = why.get(type(error)) or getattr(error, "strerror", None) or str(error)
        host = f"the proxy {first.hostname}" if proxy else first.hostname
        raise DataUnavailable(f"{host} cannot be reached ({reason}).")
