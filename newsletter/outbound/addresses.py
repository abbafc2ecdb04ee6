"""Which IP addresses are public, so that no link can lead a fetch into the local network. Pure.

Python's `is_global` is not enough: 3.11 counts the NAT64 address `64:ff9b::7f00:1`, which may lead to 127.0.0.1, as
global, and its tables change with patch releases. Public are the IPv6 addresses that IANA allocates (2000::/3), except
tunnels and other special ones, and all IPv4 addresses except the special ones. Source: the IANA IPv4 and IPv6
Special-Purpose Address Registries.
"""

from __future__ import annotations

import ipaddress

_ALLOCATED_IPV6 = ipaddress.IPv6Network("2000::/3")
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
        "0.0.0.0/8",  # this network; Linux treats 0.0.0.0 as itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; one cloud has its metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # metadata of a cloud, at a public address
        "169.254.0.0/16",  # link-local; the metadata of most clouds is at 169.254.169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)


def is_public(address: str) -> bool:
    """Whether `address` is an IPv4 or IPv6 address of the public internet. False for anything else."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _SPECIAL_IPV4)
    return parsed in _ALLOCATED_IPV6 and not any(parsed in network for network in _SPECIAL_IPV6)
