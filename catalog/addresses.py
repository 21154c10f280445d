"""Which addresses of the network a picture may be fetched from. No Django."""

from __future__ import annotations

import ipaddress

# Addresses that carry another one inside, which a check of the outside would miss: mapped, compatible, 6to4,
# Teredo and its like, NAT64; and special ones that Python's tables of some versions take for global.
SPECIAL = "::ffff:0:0/96 ::/96 2002::/16 2001::/23 64:ff9b::/96 64:ff9b:1::/48 3fff::/20 192.0.0.0/24 192.88.99.0/24"
BLOCKED = tuple(ipaddress.ip_network(network) for network in SPECIAL.split())
# Cloud metadata on addresses that are public as far as the registries know.
METADATA = frozenset(ipaddress.ip_address(address) for address in ("168.63.129.16", "100.100.100.200"))


def is_public(address: str) -> bool:
    """Whether an IP address in text is an ordinary public unicast one.

    False for private, loopback, link-local, shared (CGNAT), multicast, reserved, unspecified, metadata
    and for every IPv6 address with an IPv4 address in it (mapped, 6to4, Teredo, NAT64).
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # with a zone (fe80::1%eth0), or no address at all
        return False
    if ip in METADATA or not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local:
        return False
    return not any(ip.version == network.version and ip in network for network in BLOCKED)
