"""Which addresses of the internet are public, so that no link can lead a fetch into this network. Pure.

Python's `is_global` is not enough: 3.11 counts NAT64's `64:ff9b::7f00:1`, which may end at 127.0.0.1, as global, and
its tables change with patch releases. So IPv6 is what IANA gives out (2000::/3) less what tunnels or stands in for
something else, and IPv4 is everything less the registry of special purposes. Sources: IANA's IPv4 and IPv6
Special-Purpose Address Registries, R-155.
"""

from __future__ import annotations

import ipaddress

_GIVEN_OUT_IPV6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_IPV6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address
        "3fff::/20",  # documentation
    )
)
_SPECIAL_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-severity NAT; one cloud's metadata is at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata at a public number
        "169.254.0.0/16",  # link-local; the metadata of most clouds is at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast
    )
)


def is_public(address: str) -> bool:
    """Whether `address`, an IPv4 or IPv6 number, is a machine of the public internet; no for anything else."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(number, ipaddress.IPv4Address):
        return not any(number in network for network in _SPECIAL_IPV4)
    return number in _GIVEN_OUT_IPV6 and not any(number in network for network in _SPECIAL_IPV6)
