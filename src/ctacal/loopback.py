"""``is_loopback``: whether an address is reached from this machine only."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an IP address or host name.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
