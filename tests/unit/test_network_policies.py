"""What servers may connect to, judged by the address registries of Python's own `ipaddress`."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcpgateway_operator import __main__ as command
from mcpgateway_operator.render.context import Platform
from mcpgateway_operator.render.network_policies import public, to_dns

UNUSED = [  # private in the registries, but nothing can be there: documentation, discard, and the rest of 2001::/23
    ipaddress.ip_network(text)
    for text in (
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20", "100::/64"),
        *("2001::/23", "5f00::/16", "100:0:0:1::/64"),
    )
]
Address = IPv4Address | IPv6Address


def permitted(address: Address, cluster: tuple[str, ...] = ()) -> bool:
    """Whether the rule lets a connection out, as NetworkPolicy means it."""
    blocks = [peer["ipBlock"] for peer in public(cluster)["to"]]

    def inside(network: str) -> bool:
        return address in ipaddress.ip_network(network)

    return any(inside(block["cidr"]) and not any(map(inside, block["except"])) for block in blocks)


@given(st.one_of(st.ip_addresses(), st.ip_addresses(network="2000::/3"), st.ip_addresses(network="64:ff9b::/32")))
@example(ipaddress.ip_address("0.0.0.0"))
@example(ipaddress.ip_address("64:ff9b::a00:1"))
@example(ipaddress.ip_address("64:ff9b:1::a00:1"))
@example(ipaddress.ip_address("2002:a00:1::"))
@example(ipaddress.ip_address("2001::1"))
@example(ipaddress.ip_address("169.254.169.254"))
@example(ipaddress.ip_address("fd00:ec2::254"))
def test_no_private_address_is_public(address: Address) -> None:
    if permitted(address) and not (isinstance(address, IPv6Address) and address.ipv4_mapped):  # never on a wire (RFC 4291)
        assert not address.is_private or any(address in network for network in UNUSED)
        assert not address.is_multicast
        assert not address.is_link_local
        if isinstance(address, IPv6Address):
            assert (address.sixtofour, address.teredo) == (None, None)


@pytest.mark.parametrize("text", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_are(text: str) -> None:
    assert permitted(ipaddress.ip_address(text))
    assert not permitted(ipaddress.ip_address(text), (f"{text}/32" if "." in text else f"{text}/128",))


def test_dns_is_the_clusters_own_unless_settings_name_another() -> None:
    pods = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert to_dns(Platform()) == {"to": [pods, {"ipBlock": {"cidr": "169.254.20.10/32"}}], "ports": ports}
    flags = ["--dns=openshift-dns/dns.operator.openshift.io/daemonset-dns=default", "--dns-port=5353"]
    platform = command.parse(["--gateway-image=i", *flags]).reconciler.platform
    (peer,) = to_dns(platform)["to"]
    assert peer["podSelector"] == {"matchLabels": {"dns.operator.openshift.io/daemonset-dns": "default"}}
    assert {port["port"] for port in to_dns(platform)["ports"]} == {5353}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--dns=kube-dns", "'kube-dns' is neither NAMESPACE/LABEL=VALUE nor an address range"),
        ("--dns=kube-system/kube-dns", "'kube-system/kube-dns' is neither NAMESPACE/LABEL=VALUE nor an address range"),
        ("--dns-port=0", "'0' is not a port from 1 to 65535"),
        ("--dns-port=dns", "'dns' is not a port from 1 to 65535"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(flag: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parse(["--gateway-image=i", flag])
    assert message in capsys.readouterr().err
