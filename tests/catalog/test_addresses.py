"""Addresses pictures may be fetched from."""

from __future__ import annotations

import pytest

from catalog.addresses import is_public


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "1.1.1.1"])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",  # metadata, link-local
        "100.64.0.1",  # CGNAT
        "100.100.100.200",  # metadata
        "168.63.129.16",  # metadata on a public address
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",  # metadata
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",  # mapped
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "2002:7f00:1::",  # 6to4
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b:1::7f00:1",
        "2001:0:7f00:1::",  # Teredo
        "192.88.99.1",
        "3fff::1",
        "localhost",
        "",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)
