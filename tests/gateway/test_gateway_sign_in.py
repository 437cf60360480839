"""Who gets in, by HTTP: sessions, tickets, Basic, the upstream's own credentials, and what is refused."""

from __future__ import annotations

import base64
import re
import socket
import time
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from millpond_gateway import PASSWORD, USER, Gateway, Upstream
from test_gateway_routing import web_socket

BROWSER = {"accept": "text/html,application/xhtml+xml", "sec-fetch-mode": "navigate"}
UPSTREAM_OWN = "Basic " + base64.b64encode(b"admin:of-the-upstream").decode()


class Browser:
    """As much of a browser as the flow needs: cookies per host, redirects, an Origin on forms."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.jars: dict[str, dict[str, str]] = {}
        self.visited: list[str] = []

    def send(self, method: str, url: str, **options) -> requests.Response:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".localhost")
        jar = self.jars.setdefault(host, {})
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        headers = BROWSER | ({"cookie": cookies} if cookies else {}) | options.pop("headers", {})
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.visited.append(url)
        found = self.gateway.request(host, path or "/", method, headers=headers, **options)
        for cookie in found.cookies:
            if cookie.value:
                jar[cookie.name] = cookie.value
            else:
                jar.pop(cookie.name, None)
        if cleared := re.match(r'(\w+)="";', found.headers.get("set-cookie", "")):
            jar.pop(cleared[1], None)
        return found

    def get(self, url: str) -> requests.Response:
        """Follow redirects to the end."""
        found = self.send("GET", url)
        for _ in range(10):
            if not found.is_redirect:
                return found
            found = self.send("GET", found.headers["location"])
        raise AssertionError(f"too many redirects: {self.visited}")

    def sign_in(
        self, page: requests.Response, user: str = USER, password: str = PASSWORD
    ) -> requests.Response:
        target = re.search(r'name="next" value="([^"]*)"', page.text)
        assert target
        origin = self.gateway.origin("gateway")
        found = self.send(
            "POST",
            f"{origin}/sign-in",
            data={"user": user, "password": password, "next": target[1].replace("&amp;", "&")},
            headers={"origin": origin},
        )
        return self.get(found.headers["location"]) if found.is_redirect else found


@pytest.fixture
def behind(gateway: Gateway, upstream: Upstream) -> Gateway:
    """Two hosts behind the sign-in, one whose upstream has a sign-in of its own, and an open one."""
    parts = {"upstreams": [{"address": upstream.address}]}
    gateway.client.put_routes(
        "all",
        [
            {"host": "dask", **parts},
            {"host": "notebook", **parts},
            {"host": "mlflow", "headers": {"authorization": UPSTREAM_OWN, "x-role": "admin"}, **parts},
            {"host": "model", "sign_in": False, **parts},
        ],
    )
    return gateway


def test_a_program_without_credentials_is_told_what_to_do(behind: Gateway) -> None:
    found = behind.request("dask", "/status")
    assert found.status_code == 401
    assert found.headers["www-authenticate"] == 'Basic realm="Millpond", charset="UTF-8"'
    assert found.json()["error"] == "sign in first"


def test_a_page_whose_session_ended_gets_no_password_box(behind: Gateway) -> None:
    found = behind.request("dask", "/api", headers={"sec-fetch-mode": "cors", "accept": "*/*"})
    assert found.status_code == 401
    assert "www-authenticate" not in found.headers


def test_an_open_route_asks_nobody(behind: Gateway) -> None:
    found = behind.request("model", "/v2", headers={"authorization": "Bearer mine", "cookie": "a=b"})
    assert found.json()["headers"]["authorization"] == "Bearer mine"
    assert found.json()["headers"]["cookie"] == "a=b"


def test_one_sign_in_opens_every_host(behind: Gateway) -> None:
    browser = Browser(behind)
    page = browser.get(behind.origin("dask") + "/status?a=1&b=2")
    assert page.status_code == 200
    assert "Sign in" in page.text
    assert f"to open dask.localhost:{behind.port}" in page.text
    found = browser.sign_in(page).json()
    assert found["path"] == "/status?a=1&b=2"
    assert found["headers"]["x-millpond-user"] == USER
    assert browser.get(behind.origin("notebook") + "/tree").json()["path"] == "/tree"
    assert "What is running" in browser.get(behind.origin("localhost") + "/").text
    posts = [url for url in browser.visited if url.endswith("/sign-in")]
    assert len(posts) == 1


def test_the_session_cookie_is_the_hosts_own_and_stays_at_the_door(behind: Gateway) -> None:
    browser = Browser(behind)
    found = browser.sign_in(browser.get(behind.origin("dask") + "/"))
    assert "cookie" not in found.json()["headers"]
    name = f"millpond_session_{behind.port}"
    browser.jars["dask"]["theirs"] = "1"
    found = browser.get(behind.origin("dask") + "/")
    assert found.json()["headers"]["cookie"] == "theirs=1"
    # A host's cookie, should it leak, opens that host alone.
    stolen = {"cookie": f"{name}={browser.jars['dask'][name]}"}
    assert behind.request("dask", headers=stolen).status_code == 200
    assert behind.request("notebook", headers=stolen).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(behind: Gateway) -> None:
    browser = Browser(behind)
    page = browser.get(behind.origin("dask") + "/")
    target = re.search(r'name="next" value="([^"]*)"', page.text)
    assert target
    origin = behind.origin("gateway")
    form = {"user": USER, "password": PASSWORD, "next": target[1]}
    found = browser.send("POST", f"{origin}/sign-in", data=form, headers={"origin": origin})
    handed = browser.send("GET", found.headers["location"])
    for answer in (found, handed):
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "domain" not in cookie


def test_a_wrong_password_says_so(behind: Gateway) -> None:
    browser = Browser(behind)
    page = browser.sign_in(browser.get(behind.origin("dask") + "/"), password='wrong"<b>')
    assert page.status_code == 403
    assert 'role="alert"' in page.text
    assert "The user name or the password is wrong." in page.text
    assert f'value="{USER}"' in page.text
    assert "wrong&quot;" not in page.text and 'wrong"' not in page.text
    assert browser.jars["gateway"] == {}


def test_a_ticket_is_good_once_and_on_its_host_only(behind: Gateway) -> None:
    browser = Browser(behind)
    browser.sign_in(browser.get(behind.origin("dask") + "/"))
    signed = browser.send(
        "GET", behind.origin("gateway") + f"/sign-in?next={quote(behind.origin('notebook'))}/x"
    )
    ticket = parse_qs(urlsplit(signed.headers["location"]).query)["ticket"][0]
    stranger = Browser(behind)
    # Brought to another host it does nothing, and is spent.
    assert (
        stranger.send("GET", f"{behind.origin('dask')}/.millpond/session?ticket={ticket}").status_code == 400
    )
    assert (
        stranger.send("GET", f"{behind.origin('notebook')}/.millpond/session?ticket={ticket}").status_code
        == 400
    )
    signed = browser.send(
        "GET", behind.origin("gateway") + f"/sign-in?next={quote(behind.origin('notebook'))}/x"
    )
    handed = signed.headers["location"]
    assert browser.send("GET", handed).status_code == 303
    assert stranger.send("GET", handed).status_code == 400
    assert stranger.jars["notebook"] == {}


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/",
        "//evil.example/",
        "http://dask.localhost:{port}@evil.example/",
        "http://dask.localhost:{port}.evil.example/",
        "http://dask.localhost:1/",
        "https://dask.localhost:{port}/",
        "http://unknown.localhost:{port}/",
        "http://evil.example\\@dask.localhost:{port}/",
        "javascript:alert(1)",
        "http://dask.localhost:{port}/\r\nset-cookie: a=b",
        "/\\evil.example",
    ],
)
def test_next_leads_to_known_hosts_only(behind: Gateway, target: str) -> None:
    browser = Browser(behind)
    wanted = quote(target.format(port=behind.port), safe="")
    page = browser.get(behind.origin("gateway") + f"/sign-in?next={wanted}")
    assert "evil" not in page.text
    assert browser.sign_in(page).url.startswith(f"http://127.0.0.1:{behind.port}/")
    landed = browser.visited[-1]
    assert landed == behind.origin("localhost") + "/"


def test_a_double_slash_in_next_stays_on_the_host(behind: Gateway) -> None:
    browser = Browser(behind)
    wanted = quote(behind.origin("dask") + "//evil.example/", safe="")
    page = browser.get(behind.origin("gateway") + f"/sign-in?next={wanted}")
    browser.sign_in(page)
    assert browser.visited[-1] == behind.origin("dask") + "/evil.example/"


def test_signing_out_ends_the_session_everywhere(behind: Gateway) -> None:
    browser = Browser(behind)
    browser.sign_in(browser.get(behind.origin("dask") + "/"))
    browser.get(behind.origin("notebook") + "/")
    jars = {host: dict(jar) for host, jar in browser.jars.items()}
    # A link alone asks first.
    assert "Signing out ends the session" in browser.get(behind.origin("dask") + "/.millpond/sign-out").text
    url = behind.origin("dask") + "/.millpond/sign-out"
    foreign = browser.send("POST", url, headers={"origin": behind.origin("notebook")})
    assert foreign.status_code == 403
    out = browser.send("POST", url, headers={"origin": behind.origin("dask")})
    assert "You are signed out" in browser.get(out.headers["location"]).text
    for host in ("dask", "notebook", "gateway"):
        browser.jars[host] = jars[host]
    assert "Sign in" in browser.get(behind.origin("notebook") + "/").text
    assert "Sign in" in browser.get(behind.origin("dask") + "/").text


def test_the_form_is_taken_from_our_own_page_only(behind: Gateway) -> None:
    form = {"user": USER, "password": PASSWORD, "next": ""}
    for origin in ("http://evil.example", behind.origin("notebook"), "null", None):
        headers = {"origin": origin} if origin else {}
        found = behind.request("gateway", "/sign-in", "POST", data=form, headers=headers)
        assert found.status_code == 403
        assert "set-cookie" not in found.headers


def test_the_pages_run_nothing_and_fetch_nothing(behind: Gateway) -> None:
    found = behind.request("gateway", "/sign-in")
    policy = found.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert found.headers["cache-control"] == "no-store"
    assert "<script" not in found.text
    assert not re.search(r'(src|href)="(?!data:image/svg|/)', found.text)


def test_basic_with_the_platforms_credentials_opens_and_goes_no_further(behind: Gateway) -> None:
    found = behind.request("dask", "/", "POST", auth=(USER, PASSWORD)).json()
    assert "authorization" not in found["headers"]
    assert found["headers"]["x-millpond-user"] == USER
    assert behind.request("dask", auth=(USER, "wrong")).status_code == 401
    assert behind.request("dask", auth=("other", PASSWORD)).status_code == 401
    twice = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert (
        behind.request("dask", headers={"authorization": twice.replace("Basic", "Bearer")}).status_code == 401
    )


def test_one_sign_in_opens_the_upstreams_own_too(behind: Gateway) -> None:
    found = behind.request("mlflow", auth=(USER, PASSWORD)).json()
    assert found["headers"]["authorization"] == UPSTREAM_OWN
    assert found["headers"]["x-role"] == "admin"
    browser = Browser(behind)
    found = browser.sign_in(browser.get(behind.origin("mlflow") + "/")).json()
    assert found["headers"]["authorization"] == UPSTREAM_OWN


def test_the_upstreams_own_credentials_pass_untouched_and_gain_nothing(behind: Gateway) -> None:
    theirs = {"authorization": "Basic dXNlcjpvd24=", "x-role": "admin", "x-millpond-user": USER}
    found = behind.request("mlflow", "/api", "POST", headers=theirs).json()["headers"]
    assert found["authorization"] == "Basic dXNlcjpvd24="
    assert "x-envoy-auth-headers-to-remove" not in found
    assert "x-role" not in found
    assert "x-millpond-user" not in found
    # Where the upstream has no sign-in of its own, nobody would check them.
    assert behind.request("dask", headers=theirs).status_code == 401


def test_a_signed_in_pages_own_authorization_passes(behind: Gateway) -> None:
    browser = Browser(behind)
    browser.sign_in(browser.get(behind.origin("mlflow") + "/"))
    found = browser.send("GET", behind.origin("mlflow") + "/", headers={"authorization": "token abc"}).json()
    assert found["headers"]["authorization"] == "token abc"
    platform = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    found = browser.send("GET", behind.origin("mlflow") + "/", headers={"authorization": platform}).json()
    assert found["headers"]["authorization"] == UPSTREAM_OWN


def test_a_foreign_page_changes_nothing_and_opens_no_web_socket(behind: Gateway) -> None:
    foreign = {"origin": "http://evil.example"}
    assert behind.request("dask", "/", "POST", auth=(USER, PASSWORD), headers=foreign).status_code == 403
    ours = {"origin": behind.origin("dask")}
    assert behind.request("dask", "/", "POST", auth=(USER, PASSWORD), headers=ours).status_code == 200
    basic = {"authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    assert web_socket(behind, "notebook", basic | foreign)[0] == 403
    assert web_socket(behind, "notebook", {})[0] == 401
    assert web_socket(behind, "notebook", basic | {"origin": behind.origin("notebook")}) == (101, b"hello")


def test_the_checks_cannot_be_asked_or_walked_around(behind: Gateway) -> None:
    assert behind.request("gateway", "/authz/").status_code == 404
    assert behind.request("dask", "/.millpond/../status").status_code == 401
    assert behind.request("dask", "/.millpond/%2e%2e/status").status_code == 401
    assert behind.request("dask", "/.millpond/anything").status_code == 404
    assert behind.request("dask", headers={"host": f"DASK.LOCALHOST:{behind.port}"}).status_code == 401
    own = {"x-envoy-auth-headers-to-remove": "host", "x-millpond-user": USER}
    assert behind.request("dask", headers=own).status_code == 401


def test_two_authorizations_are_not_one(behind: Gateway) -> None:
    good = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    head = (
        f"GET / HTTP/1.1\r\nhost: mlflow.localhost:{behind.port}\r\nconnection: close\r\n"
        f"authorization: Basic {good}\r\nauthorization: Basic b3RoZXI6b3RoZXI=\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", behind.port), timeout=5) as connection:
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    assert UPSTREAM_OWN not in answer
    assert "x-millpond-user" not in answer


@pytest.mark.slow
def test_guessing_is_slowed_down_and_sessions_outlive_the_agent(
    own_gateway: Gateway, upstream: Upstream
) -> None:
    gateway = own_gateway
    gateway.client.put_routes("dask", [{"host": "dask", "upstreams": [{"address": upstream.address}]}])
    browser = Browser(gateway)
    browser.sign_in(browser.get(gateway.origin("dask") + "/"))
    gateway.kill("agent")
    gateway.start_agent()
    assert browser.get(gateway.origin("dask") + "/kept").json()["path"] == "/kept"

    guesser = Browser(gateway)
    page = guesser.get(gateway.origin("dask") + "/")
    seen = [guesser.sign_in(page, password=f"guess {turn}").status_code for turn in range(9)]
    assert seen[:8] == [403] * 8
    assert seen[8] == 429
    late = guesser.sign_in(page)
    assert late.status_code == 429
    assert "Too many wrong passwords" in late.text
    assert int(late.headers["retry-after"]) > 0
    # Who is signed in does not notice.
    assert browser.get(gateway.origin("dask") + "/").status_code == 200
    time.sleep(int(late.headers["retry-after"]))
    assert guesser.sign_in(page).status_code == 200


@pytest.mark.slow
def test_another_password_ends_all_sessions(own_gateway: Gateway, upstream: Upstream) -> None:
    gateway = own_gateway
    gateway.client.put_routes("dask", [{"host": "dask", "upstreams": [{"address": upstream.address}]}])
    browser = Browser(gateway)
    browser.sign_in(browser.get(gateway.origin("dask") + "/"))
    gateway.kill("agent")
    gateway.environment["MILLPOND_GATEWAY_PASSWORD"] = "another"
    gateway.start_agent()
    page = browser.get(gateway.origin("dask") + "/")
    assert "Sign in" in page.text
    assert browser.sign_in(page, password="another").json()["path"] == "/"
