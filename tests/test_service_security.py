"""Who may do what, by the guard alone."""

import pytest

from streamderain.service.security import SESSION_S, Access, Guard, Head
from tests.fake_control import TOKEN, settings

BEARER = f"Bearer {TOKEN}"
CHANGES = ("POST", "PUT", "DELETE")


def head(method="GET", host="127.0.0.1:8080", cookie=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    cookies = {"streamderain_8080": cookie} if cookie else {}
    return Head(method, {"host": host, **named}, cookies)


def status(guard, wanted, access):
    refusal = guard.refuse(wanted, access)
    return None if refusal is None else refusal.status


def outside(**changed):
    return Guard(settings(address="0.0.0.0:8080", **changed))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "127.0.0.1:9", "localhost:8080", "LOCALHOST", "[::1]:8080"],
)
def test_this_machine_has_several_names(host):
    assert status(Guard(settings()), head(host=host), Access.READ) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
        "10.0.0.5", "", ":8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1@evil.example",
        "evil.example#127.0.0.1", "[::1", "::1", "localhost, evil.example", "2130706433",
    ],
)  # fmt: skip
@pytest.mark.parametrize("access", [Access.ENTRY, Access.READ, Access.CHANGE])
def test_a_name_that_is_not_ours_is_refused_even_with_the_token(host, access):
    wanted = head(host=host, authorization=BEARER)
    assert status(Guard(settings()), wanted, access) == 403


def test_further_names_are_those_of_the_configuration():
    guard = Guard(settings(hosts=["Cam.Example.org"]))
    assert status(guard, head(host="cam.example.org", authorization=BEARER), Access.READ) is None
    assert status(guard, head(host="x.example.org", authorization=BEARER), Access.READ) == 403


def test_a_service_for_everyone_is_reached_by_any_address_but_not_by_any_name():
    guard = outside()
    for host in ("10.0.0.5:8080", "[fe80::1]:8080", "192.168.1.2"):
        assert status(guard, head(host=host, authorization=BEARER), Access.READ) is None
    assert status(guard, head(host="evil.example", authorization=BEARER), Access.READ) == 403


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("http://localhost:8080", "localhost:8080", True),
        ("https://cam.example.org", "cam.example.org", True),
        ("https://cam.example.org:443", "cam.example.org", True),
        ("http://cam.example.org", "cam.example.org:80", True),
        ("https://cam.example.org", "cam.example.org:8443", False),
        ("http://127.0.0.1:3000", "127.0.0.1:8080", False),
        ("http://localhost:8080", "127.0.0.1:8080", False),
        ("http://evil.example", "127.0.0.1:8080", False),
        ("null", "127.0.0.1:8080", False),
        ("", "127.0.0.1:8080", False),
        ("file://", "127.0.0.1:8080", False),
        ("http://[::1", "127.0.0.1:8080", False),
        ("http://127.0.0.1:8080@evil.example", "127.0.0.1:8080", False),
    ],
)
def test_pages_of_other_origins_are_refused(origin, host, allowed):
    guard = Guard(settings(hosts=["cam.example.org"]))
    for access in (Access.ENTRY, Access.READ, Access.CHANGE):
        wanted = head("POST", host, origin=origin, authorization=BEARER)
        assert status(guard, wanted, access) == (None if allowed else 403)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_calls_another_site_is_refused(site):
    guard, bearing = Guard(settings()), {"authorization": BEARER, "sec_fetch_site": site}
    assert status(guard, head("POST", **bearing), Access.CHANGE) == 403
    assert status(guard, head(**bearing), Access.READ) == 403
    assert status(guard, head(**bearing, sec_fetch_mode="no-cors"), Access.ENTRY) == 403
    assert status(guard, head(**bearing, sec_fetch_mode="navigate"), Access.ENTRY) is None


def test_only_the_token_changes_anything():
    guard = Guard(settings())
    assert status(guard, head("PUT"), Access.CHANGE) == 401
    for wrong in ("Bearer wrong", f"Basic {TOKEN}", "Bearer", "Bearer ", BEARER + "x", TOKEN):
        assert status(guard, head("PUT", authorization=wrong), Access.CHANGE) == 401
    assert status(guard, head("PUT", authorization=BEARER), Access.CHANGE) is None
    assert status(guard, head("PUT", authorization=f"bearer  {TOKEN}"), Access.CHANGE) is None


def test_a_wrong_token_is_said_where_none_is_needed_too():
    assert status(Guard(settings()), head(authorization="Bearer wrong"), Access.READ) == 401


def test_without_a_token_there_is_only_reading():
    guard = Guard(settings(token=None))
    assert status(guard, head(), Access.READ) is None
    assert status(guard, head(authorization="Bearer x"), Access.READ) is None
    for given in ("Bearer ", "Bearer None", "Bearer x"):
        assert status(guard, head("PUT", authorization=given), Access.CHANGE) == 403
    assert guard.open_session("") is None


def test_from_elsewhere_reading_needs_the_token():
    assert status(outside(), head(host="10.0.0.5:8080"), Access.READ) == 401
    assert status(outside(), head(host="127.0.0.1:8080"), Access.READ) == 401
    assert status(outside(), head(host="10.0.0.5:8080"), Access.ENTRY) is None


@pytest.mark.parametrize("name", ["x_forwarded_for", "forwarded", "via", "x_real_ip"])
def test_who_comes_through_a_proxy_is_not_taken_for_this_machine(name):
    guard = Guard(settings())
    assert status(guard, head(**{name: "10.0.0.9"}), Access.READ) == 401
    assert status(guard, head(**{name: "10.0.0.9"}, authorization=BEARER), Access.READ) is None


def test_health_is_for_everyone():
    assert status(outside(), head(host="evil.example", origin="null"), Access.OPEN) is None


def test_a_session_stands_for_the_token_until_it_ends():
    now = [1000.0]
    guard = Guard(settings(), lambda: now[0])
    assert guard.open_session("wrong") is None
    cookie = guard.open_session(TOKEN)
    assert cookie and TOKEN not in cookie
    signed_in = head("PUT", cookie=cookie)
    assert status(guard, signed_in, Access.CHANGE) is None
    assert guard.rights(signed_in).may_change
    now[0] += SESSION_S + 1
    assert status(guard, signed_in, Access.CHANGE) == 401


def test_a_session_outlives_the_process_but_not_the_token():
    cookie = Guard(settings()).open_session(TOKEN)
    assert status(Guard(settings()), head("PUT", cookie=cookie), Access.CHANGE) is None
    other = Guard(settings(token="another-token"))
    assert status(other, head("PUT", cookie=cookie), Access.CHANGE) == 401


def test_a_session_that_was_ended_is_over_and_others_are_not():
    guard = Guard(settings())
    one, other = guard.open_session(TOKEN), guard.open_session(TOKEN)
    assert one != other
    guard.end_session(head(cookie=one))
    guard.end_session(head(cookie="made.up.cookie"))
    assert status(guard, head("PUT", cookie=one), Access.CHANGE) == 401
    assert status(guard, head("PUT", cookie=other), Access.CHANGE) is None


@pytest.mark.parametrize("change", ["later", "cut", "sign", "unsigned", "odd"])
def test_a_session_that_was_tampered_with_is_none(change):
    guard = Guard(settings())
    end, nonce, signature = guard.open_session(TOKEN).split(".")
    made = {
        "later": f"{int(end) + 1}.{nonce}.{signature}",
        "cut": f"{end}.{signature}",
        "sign": f"{end}.{nonce}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        "unsigned": f"{end}.{nonce}.",
        "odd": "\udcff.é.x",
    }[change]
    assert status(guard, head("PUT", cookie=made), Access.CHANGE) == 401
