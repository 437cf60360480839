"""How traffic is shared out: replicas, weights that keep their users, routes for a header, time limits."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.cookies import SimpleCookie

import pytest
import requests
from millpond_gateway import Gateway, Upstream, wait_until

from loopback import free_port


def open_route(host: str, *upstreams: dict[str, object], **more: object) -> dict[str, object]:
    return {"host": host, "upstreams": list(upstreams), "sign_in": False, **more}


def share(upstream: Upstream, weight: int, **more: object) -> dict[str, object]:
    return {"address": upstream.address, "weight": weight, **more}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as found:
        yield found


def answered_by(gateway: Gateway, host: str, path: str = "/", **more: object) -> str:
    found = gateway.request(host, path, **more)
    assert found.status_code == 200, found.text
    return str(found.json()["upstream"])


def test_replicas_share_the_traffic(gateway: Gateway, upstream: Upstream, second_upstream: Upstream) -> None:
    both = {"addresses": [upstream.address, second_upstream.address]}
    gateway.client.put_routes("two", [open_route("two", both)])
    seen = Counter(answered_by(gateway, "two") for _ in range(60))
    assert set(seen) == {"first", "second"}


def test_a_busy_replica_is_asked_less(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream, session: requests.Session
) -> None:
    gateway.client.put_routes(
        "two", [open_route("two", {"addresses": [upstream.address, second_upstream.address]})]
    )
    # Which replica gets it is chance; from then on it has one more under way than the other.
    busy: list[str] = []
    waiting = threading.Thread(target=lambda: busy.append(answered_by(gateway, "two", "/slow")))
    before = len(upstream.seen) + len(second_upstream.seen)
    waiting.start()
    wait_until(lambda: len(upstream.seen) + len(second_upstream.seen) > before, 5, "it is under way")
    seen = Counter(answered_by(gateway, "two", session=session) for _ in range(40))
    waiting.join()
    assert seen[busy[0]] < 10


def test_replicas_that_are_gone_cost_no_request(gateway: Gateway, upstream: Upstream) -> None:
    gone = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    gateway.client.put_routes("three", [open_route("three", {"addresses": [*gone, upstream.address]})])
    found: list[str] = []

    def ask() -> None:
        with requests.Session() as session:
            for _ in range(50):
                post = {"method": "POST", "data": b"{}", "session": session}
                found.append(answered_by(gateway, "three", "/", **post))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found == ["first"] * 200


@pytest.mark.parametrize("limit", [{}, {"max_body": 32 << 20}])
def test_a_replica_that_is_gone_costs_no_large_request(
    gateway: Gateway, upstream: Upstream, limit: dict[str, object]
) -> None:
    body = bytes(8 << 20)
    for _ in range(8):
        both = {"addresses": [f"127.0.0.1:{free_port()}", upstream.address]}
        gateway.client.put_routes("two", [open_route("two", both, **limit)])
        found = gateway.request("two", "/", "POST", data=body)
        assert (found.status_code, found.json().get("size")) == (200, len(body))


def test_a_body_beyond_what_is_kept_streams_to_replicas(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    both = {"addresses": [upstream.address, second_upstream.address]}
    gateway.client.put_routes("two", [open_route("two", both)])
    body = bytes(80 << 20)
    assert gateway.request("two", "/", "PUT", data=body).json()["size"] == len(body)


def test_a_large_body_for_nobody_is_a_503(gateway: Gateway) -> None:
    gateway.client.put_routes("gone", [open_route("gone", {"address": f"127.0.0.1:{free_port()}"})])
    for _ in range(10):
        found = gateway.request("gone", "/", "POST", data=bytes(4 << 20))
        assert found.status_code == 503
        assert found.json()["error"] == f"gone.localhost:{gateway.port} is not answering"


def test_what_an_upstream_has_seen_is_not_sent_again(gateway: Gateway, upstream: Upstream) -> None:
    taken: list[bytes] = []
    with socket.create_server(("127.0.0.1", free_port())) as rude:

        def take_and_hang_up() -> None:
            while True:
                try:
                    connection, _ = rude.accept()
                except OSError:
                    return
                with connection:
                    taken.append(connection.recv(1000))

        threading.Thread(target=take_and_hang_up, daemon=True).start()
        address = f"127.0.0.1:{rude.getsockname()[1]}"
        other = f"127.0.0.1:{free_port()}"
        gateway.client.put_routes("rude", [open_route("rude", {"addresses": [address, other]})])
        found = gateway.request("rude", "/", "POST", data=b"{}")
        rude.shutdown(socket.SHUT_RDWR)
    assert found.status_code == 503
    assert len(taken) == 1


def test_statistics_go_by_the_upstreams_name_over_a_change(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    gateway.client.put_routes(
        "named", [open_route("named", {"address": upstream.address, "name": "named-1"})]
    )
    for _ in range(3):
        answered_by(gateway, "named")
    assert gateway.client.statistics()["named/named-1"]["requests"] == 3
    addresses = [upstream.address, second_upstream.address]
    gateway.client.put_routes("named", [open_route("named", {"addresses": addresses, "name": "named-1"})])
    answered_by(gateway, "named")
    found = gateway.client.statistics()["named/named-1"]
    assert found == {"requests": 4, "active": 0, "errors": 0, "connect_failures": 0, "overflow": 0}


class Users:
    """People with a browser each, who answer with the cookie that they were given."""

    def __init__(self, gateway: Gateway, host: str, count: int) -> None:
        self.gateway, self.host = gateway, host
        self.cookies: list[str | None] = [None] * count
        self.session = requests.Session()

    def visit(self) -> list[str]:
        found = []
        for user, cookie in enumerate(self.cookies):
            # What a browser has beside ours stands in the same header.
            headers = {"cookie": f"theme=dark; {cookie}; a=b"} if cookie else {"cookie": "theme=dark"}
            answer = self.gateway.request(self.host, headers=headers, session=self.session)
            self.session.cookies.clear()
            found.append(str(answer.json()["upstream"]))
            handed_out = answer.headers.get("set-cookie")
            assert (handed_out is None) == (cookie is not None)
            if handed_out:
                self.cookies[user] = handed_out.partition(";")[0]
        return found


def within(count: int, of: int, probability: float) -> bool:
    """Whether a share lies within four and a half standard deviations (once in 150,000 it does not)."""
    return abs(count - of * probability) <= 4.5 * math.sqrt(of * probability * (1 - probability))


def test_a_cookie_keeps_a_user_at_an_upstream_and_growth_takes_nobody_away(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    def shares(first: int, second: int) -> None:
        route = open_route(
            *("ab", share(upstream, first), share(second_upstream, second)),
            sticky={"cookie": "arm", "seconds": 600},
        )
        gateway.client.put_routes("ab", [route])

    shares(30, 70)
    users = Users(gateway, "ab", 400)
    at_first = users.visit()
    assert within(at_first.count("first"), 400, 0.3)
    assert users.visit() == at_first
    assert users.visit() == at_first
    shares(2, 2)  # the same line, however the weights are written
    grown = users.visit()
    assert within(grown.count("first"), 400, 0.5)
    assert not [was for was, now in zip(at_first, grown, strict=True) if was == "first" and now == "second"]
    assert users.visit() == grown
    shares(30, 70)
    assert users.visit() == at_first
    shares(0, 1)
    assert set(users.visit()) == {"second"}


def test_the_cookie_is_for_the_whole_host_and_closed_to_scripts(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    both = share(upstream, 1), share(second_upstream, 1)
    gateway.client.put_routes("ab", [open_route("ab", *both, sticky={"cookie": "arm", "seconds": 600})])
    found = gateway.request("ab", "/v2/models/ab/infer", "POST", data=b"{}")
    cookie = SimpleCookie(found.headers["set-cookie"])["arm"]
    assert cookie.value
    assert (cookie["path"], cookie["httponly"], cookie["max-age"]) == ("/", True, "600")
    assert (cookie["samesite"], cookie["domain"]) == ("Lax", "")
    gateway.client.put_routes("ab", [open_route("ab", *both, sticky={"cookie": "arm", "seconds": 0})])
    until_closed = gateway.request("ab", headers={"cookie": "arm="}).headers["set-cookie"]
    assert "max-age" not in until_closed.lower()


@pytest.mark.parametrize("identity", ["a; Domain=localhost", 'a"b', "a b"])
def test_an_id_that_is_no_cookie_is_not_handed_out(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream, identity: str
) -> None:
    both = share(upstream, 1), share(second_upstream, 1)
    gateway.client.put_routes("ab", [open_route("ab", *both, sticky={"cookie": "arm"})])
    found = gateway.request("ab", headers={"x-request-id": identity})
    assert found.status_code == 200
    assert "set-cookie" not in found.headers


def test_names_and_paths_may_be_long(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream, session: requests.Session
) -> None:
    both = share(upstream, 1), share(second_upstream, 1)
    cookie, path = "arm-" + "a" * 60, "/v2/models/" + "flights-" * 20
    route = open_route("ab", *both, sticky={"cookie": cookie}, paths=[path], rewrite="/")
    gateway.client.put_routes("ab", [route])
    found = gateway.request("ab", f"{path}/infer", session=session)
    assert found.json()["path"] == "/infer"
    assert found.headers["set-cookie"].startswith(f"{cookie}=")


def test_users_behind_one_connection_are_told_apart(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream, session: requests.Session
) -> None:
    both = share(upstream, 1), share(second_upstream, 1)
    gateway.client.put_routes("ab", [open_route("ab", *both, sticky={"cookie": "arm"})])
    seen = set()
    for _ in range(40):
        found = gateway.request("ab", session=session)
        session.cookies.clear()
        seen.add(found.headers["set-cookie"])
    assert len(seen) == 40


def test_a_header_that_names_the_user_goes_before_the_cookie(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream, session: requests.Session
) -> None:
    def visit(**sticky: object) -> list[str]:
        both = share(upstream, 1), share(second_upstream, 1)
        gateway.client.put_routes("ab", [open_route("ab", *both, sticky={"header": "x-user-id", **sticky})])
        found = []
        for user in range(300):
            headers = {"x-user-id": f"user-{user}", "cookie": f"arm={user // 2}"}
            answer = gateway.request("ab", headers=headers, session=session)
            assert "set-cookie" not in answer.headers
            found.append(str(answer.json()["upstream"]))
        return found

    first = visit(cookie="arm")
    assert within(first.count("first"), 300, 0.5)
    assert visit(cookie="arm") == first
    assert visit() == first
    salted = visit(salt="autumn")
    assert visit(salt="autumn") == salted
    # Another experiment divides the same users independently of the first.
    assert within(sum(a == b for a, b in zip(first, salted, strict=True)), 300, 0.5)
    # Without the header and without a cookie it is chance.
    assert {answered_by(gateway, "ab") for _ in range(40)} == {"first", "second"}


def test_a_header_leads_elsewhere(gateway: Gateway, upstream: Upstream, second_upstream: Upstream) -> None:
    always = {"header": "X-Canary", "value": "always"}
    gateway.client.put_routes(
        "canary",
        [
            open_route("canary", share(upstream, 1)),
            open_route("canary", share(second_upstream, 1), when=always),
            open_route("canary", share(upstream, 1), paths=["/admin"]),
            open_route("canary", {"address": "127.0.0.1:9"}, paths=["/gone"], when={"header": "x-gone"}),
        ],
    )
    assert answered_by(gateway, "canary") == "first"
    assert answered_by(gateway, "canary", headers={"x-canary": "always"}) == "second"
    assert answered_by(gateway, "canary", headers={"x-canary": "alway"}) == "first"
    assert answered_by(gateway, "canary", "/v2/x", headers={"x-canary": "always"}) == "second"
    # The longer path goes before the header.
    assert answered_by(gateway, "canary", "/admin/x", headers={"x-canary": "always"}) == "first"
    assert answered_by(gateway, "canary", "/gone") == "first"
    assert gateway.request("canary", "/gone", headers={"x-gone": ""}).status_code == 503


def test_the_shared_hosts_paths_take_a_header_and_a_verb(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    paths = ["/v2/models/iris", "/v1/models/iris", *(f"/v1/models/iris:{v}" for v in ("predict", "explain"))]
    gateway.client.put_routes(
        "serving-iris",
        [
            open_route("serving", share(upstream, 1), paths=paths),
            open_route("serving", share(second_upstream, 1), paths=paths, when={"header": "x-canary"}),
        ],
    )
    gateway.client.put_routes(
        "serving-iris-2",
        [
            open_route(
                "serving", share(second_upstream, 1), paths=["/v2/models/iris/versions/2", "/v1/models/iris2"]
            )
        ],
    )
    for path in ("/v2/models/iris/infer", "/v1/models/iris:predict", "/v1/models/iris:explain"):
        assert answered_by(gateway, "serving", path) == "first"
        assert answered_by(gateway, "serving", path, headers={"x-canary": "1"}) == "second"
    assert answered_by(gateway, "serving", "/v2/models/iris/versions/2/infer") == "second"
    assert answered_by(gateway, "serving", "/v1/models/iris2") == "second"
    for path in ("/v1/models/iris:feedback", "/v1/models/iris2:predict", "/v1/models/irisx"):
        assert gateway.request("serving", path).status_code == 404


def test_an_answer_that_takes_too_long_is_a_504(gateway: Gateway, upstream: Upstream) -> None:
    gateway.client.put_routes("brief", [open_route("brief", share(upstream, 1), timeout=0.3)])
    before = time.monotonic()
    found = gateway.request("brief", "/slow")
    assert found.status_code == 504
    assert 0.25 < time.monotonic() - before < 0.9
    assert found.json()["error"] == f"brief.localhost:{gateway.port} did not answer in time"
    assert gateway.request("brief").status_code == 200
    gateway.client.put_routes("brief", [open_route("brief", share(upstream, 1), timeout=0)])
    assert gateway.request("brief", "/slow").status_code == 200
    wait_until(lambda: gateway.client.statistics()[f"brief/{upstream.address}"]["active"] == 0, 5, "idle")
