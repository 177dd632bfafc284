"""Hosts that an item may name: no private address, and our credentials for named buckets alone."""

import socket
from contextlib import suppress
from dataclasses import replace

import pytest
from images import images
from web_server import HASTY, web

from neve.errors import ReadFailed, SceneRejected
from neve.reading.ranges import Hiccup, fetch
from neve.scenes.hosts import named, private
from neve.scenes.hrefs import Reach, checked_href

PRIVATE = [
    "127.0.0.1", "127.1", "0.0.0.0", "0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "168.63.129.16", "224.0.0.1", "255.255.255.255",
    "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0xa9.254.0251.254", "169.254.43518",
    "0x7f.1", "017700000001", "localhost", "LOCALHOST.", "a.localhost", "127.0.0.1.",
    "[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]", "[ff02::1]", "[fec0::1]", "[::ffff:0:7f00:1]",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "data.example.com", "[2a00:1450:4001::1]", "134744072", "10.example.com"]


@pytest.mark.parametrize("host", PRIVATE)
def test_items_name_no_private_address_in_any_form(host):
    href = f"http://{host}/a.tif"
    with pytest.raises(SceneRejected, match="private address; if that is meant, name the host"):
        checked_href(href, Reach())
    with pytest.raises(SceneRejected):  # a catalogue elsewhere, a folder
        checked_href(href, Reach(home="api.example.com"))
    assert checked_href(href, Reach(hosts=(host.lower(),)))
    with pytest.raises(ReadFailed, match="private address"):
        fetch(href, [(0, 9)], False, HASTY)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_hosts_pass(host):
    assert not private(host)
    assert checked_href(f"https://{host}/a.tif", Reach())


def test_a_region_names_its_hosts_and_all_others_are_refused():
    reach = Reach(home="api.example.com", hosts=("*.example.org", "bucket"))
    for href in ("https://api.example.com/a", "https://x.Example.org/a", "s3://bucket/a"):
        assert checked_href(href, reach) == href
    for host in ("example.org", "xexample.org", "example.org.evil.test", "8.8.8.8"):
        assert not named(host, reach.trusted)
        with pytest.raises(SceneRejected, match=r"hosts are \*.example.org, bucket"):
            checked_href(f"https://{host}/a.tif", reach)


def test_a_name_that_resolves_to_a_private_address_is_refused_unless_named(monkeypatch, tmp_path):
    """Whatever it resolved to when it was looked at: the address that is reached counts."""
    body = images(tmp_path)["raw"].read_bytes()
    plain = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **options: plain(
            "127.0.0.1" if host == "data.example.com" else host, *more, **options
        ),
    )
    with web(body) as server:
        href = server.at("data.example.com")
        assert checked_href(href, Reach()) == href
        for fresh in (False, True):
            with pytest.raises(ReadFailed, match=r"data.example.com has the private address 127"):
                fetch(href, [(0, 9)], fresh, HASTY)
        assert server.asked == []
        trusting = replace(HASTY, hosts=("data.example.com",))
        assert fetch(href, [(0, 9)], False, trusting)[0] == [body[:9]]


@pytest.mark.parametrize("hosts", [(), ("other",), ("bucket",), ("*.bucket", "bucket")])
def test_only_buckets_that_a_person_named_see_our_credentials(hosts, monkeypatch):
    with web(b"0123456789") as server:
        for key, value in {
            "AWS_ENDPOINT_URL": server.at("127.0.0.1", ""), "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "hidden",
        }.items():  # fmt: skip
            monkeypatch.setenv(key, value)
        for fresh in (False, True):
            reads = replace(HASTY, hosts=hosts, timeout=5 + len(hosts) / 10)
            with suppress(Hiccup, ReadFailed):
                fetch("s3://bucket/a.tif", [(0, 9)], fresh, reads)
        assert len(server.headers) == 2
        for headers in server.headers:
            assert ("authorization" in map(str.lower, headers)) == ("bucket" in hosts)
            assert "bucket" in hosts or "mine" not in str(headers)
