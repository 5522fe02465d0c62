"""Who may ask this server, and for what: each rule has an attack that it stops."""

from pathlib import Path

import pytest
from starlette.routing import Route

from ctacal.errors import UsageError
from ctacal.web.app import page_app
from ctacal.web.guard import MAX_BODY
from ctacal.web.serve import Address, accepted_hosts, proxy_from_file
from ctacal.web.signin import COOKIE, SESSION_S, TOKEN_S, Proxy, SignIn
from tests.reading_scene import names
from tests.web.serving import HOST, OWN, Browser, site

SECRET = "s" * 40


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(site(tmp_path)).sign_in()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9999", "localhost", "127.0.0.1:8000.evil.example", ""])
def test_dns_rebinding_another_name_is_refused(browser: Browser, host: str) -> None:
    """A site that makes its name point here gets nothing, although its requests come from the same machine."""
    for path in ("/", "/api/session", "/page/main.js", "/start?token=x"):
        answer = browser.get(path, Host=host)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "FORBIDDEN"


def test_the_own_name_is_accepted(browser: Browser) -> None:
    assert browser.get("/api/session", Host=HOST.upper()).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {name: value for name, value in OWN.items() if name != "X-Ctacal"},
        {name: value for name, value in OWN.items() if name != "Sec-Fetch-Site"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "none"},
        OWN | {"X-Ctacal": "0"},
    ],
)
def test_another_sites_page_cannot_post(browser: Browser, headers: dict[str, str]) -> None:
    """Cross-site request forgery: the cookie alone is not enough."""
    name = names(browser.site.room)[0]
    assert browser.post(f"/api/readings/{name}/open", headers=headers).status_code == 403
    assert not list(browser.site.room.folder.files())  # nothing was begun


def test_a_form_cannot_post(browser: Browser) -> None:
    name = names(browser.site.room)[0]
    headers = OWN | {"Content-Type": "text/plain"}
    assert browser.post(f"/api/readings/{name}/open", headers=headers).status_code == 415


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(browser: Browser, method: str) -> None:
    assert browser.send(method, "/api/session", OWN).status_code == 405


def test_no_answer_may_be_read_by_another_site_or_kept(browser: Browser) -> None:
    for path in ("/", "/api/session", "/api/nothing", "/nothing", "/start?token=x"):
        answer = browser.get(path, Origin="http://evil.example")
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_link_is_good_once_and_the_cookie_is_out_of_reach_of_scripts(tmp_path: Path) -> None:
    browser = Browser(site(tmp_path))
    token = browser.site.signin.link("anna")
    assert browser.get("/api/session").status_code == 401
    answer = browser.get(f"/start?token={token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get(f"/start?token={token}").status_code == 403
    browser.cookies = dict(answer.cookies)
    assert browser.get("/api/session").json()["reader"] == "anna"
    for forged in ("", "x", token):
        browser.cookies = {COOKIE: forged}
        assert browser.get("/api/session").status_code == 401


def test_links_and_cookies_grow_old() -> None:
    now = [0.0]
    signin = SignIn(clock=lambda: now[0])
    late, used = signin.link("anna"), signin.link("anna")
    secret = signin.begin(used)
    assert secret is not None
    now[0] = TOKEN_S + 1
    assert signin.begin(late) is None
    assert signin.reader(secret) == "anna"
    now[0] = SESSION_S + 1
    assert signin.reader(secret) is None


def test_every_call_of_the_api_asks_who_it_is(tmp_path: Path) -> None:
    browser = Browser(site(tmp_path))
    name = names(browser.site.room)[0]
    routes = [route for route in page_app(browser.site).routes if isinstance(route, Route)]
    asked = 0
    for route in routes:
        if route.path.startswith("/api"):
            path = route.path.replace("{name}", name)
            answer = browser.post(path) if "POST" in (route.methods or ()) else browser.get(path)
            assert answer.status_code == 401, path
            asked += 1
    assert asked >= 12


def test_a_proxy_names_the_reader_only_from_its_address_and_with_its_secret(tmp_path: Path) -> None:
    proxy = Proxy(addresses=frozenset(("10.0.0.2",)), user_header="x-remote-user", secret=SECRET)
    there = site(tmp_path, proxy=proxy)
    headers = {"X-Remote-User": "anna", "X-Ctacal-Proxy-Secret": SECRET}
    assert Browser(there, ("10.0.0.2", 1), headers).get("/api/session").json()["reader"] == "anna"
    assert Browser(there, ("::ffff:10.0.0.2", 1), headers).get("/api/session").status_code == 200
    assert Browser(there, ("10.0.0.3", 1), headers).get("/api/session").status_code == 401
    wrong = headers | {"X-Ctacal-Proxy-Secret": "x"}
    assert Browser(there, ("10.0.0.2", 1), wrong).get("/api/session").status_code == 401
    stranger = headers | {"X-Remote-User": "eve"}
    assert Browser(there, ("10.0.0.2", 1), stranger).get("/api/session").status_code == 403
    token = there.signin.link("anna")
    assert Browser(there, ("10.0.0.3", 1)).get(f"/start?token={token}").status_code == 403


def test_the_user_header_means_nothing_without_a_proxy(tmp_path: Path) -> None:
    assert Browser(site(tmp_path), headers={"X-Remote-User": "anna"}).get("/api/session").status_code == 401


def test_roles(tmp_path: Path) -> None:
    roles = {
        "anna": frozenset(("reader",)),
        "dora": frozenset(("administrator",)),
        "chris": frozenset(("adjudicator",)),
    }
    there = site(tmp_path, roles=roles)
    anna, dora, chris = (Browser(there).sign_in(name) for name in ("anna", "dora", "chris"))
    assert anna.get("/api/adjudications").status_code == 403
    assert chris.get("/api/adjudications").status_code == 200
    assert anna.get("/api/session").json()["readings"] is None
    assert dora.get("/api/session").json()["readings"]
    name = names(there.room)[0]
    anna.post(f"/api/readings/{name}/open")
    assert [line["reader"] for line in dora.get("/api/report").json()["readers"]] == ["anna"]
    assert chris.get("/api/report").json()["readers"] == []
    assert dora.post(f"/api/readings/{name}/open").status_code == 404  # no reader: it is not in a list of hers


@pytest.mark.parametrize(
    "path",
    [
        "/page/..%2f..%2fapp.py", "/page/..%5capp.py", "/page/%2e%2e/app.py", "/page/app.py", "/page/.hidden.js",
        "/page/page", "/page/", "/page/a%00.js", "/api/readings/..%2f..%2fetc/state", "/api/readings/%2e%2e",
        "/api/readings/x.annotate%00", "/..%2f..%2fetc/passwd",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_large_bodies_are_refused(browser: Browser) -> None:
    name = names(browser.site.room)[0]
    big = b'{"x": "' + b"a" * MAX_BODY + b'"}'
    assert browser.send("POST", f"/api/readings/{name}/events", OWN, content=big).status_code == 413

    async def pieces() -> object:
        for _ in range(20):
            yield b"a" * (MAX_BODY // 16)

    answer = browser.send("POST", f"/api/readings/{name}/events", OWN, content=pieces())
    assert answer.status_code == 413  # without its length


@pytest.mark.parametrize("body", [b"", b"[", b"null", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"kind": 1e999}'])
def test_bodies_that_are_no_event(browser: Browser, body: bytes) -> None:
    name = names(browser.site.room)[0]
    browser.post(f"/api/readings/{name}/open")
    answer = browser.send("POST", f"/api/readings/{name}/events", OWN, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID")


@pytest.mark.parametrize(
    "query", ["offset=-1", "limit=501", "limit=x", "state=lost", "text=" + "x" * 201, "offset=9" + "9" * 20]
)
def test_queries_that_cannot_be(browser: Browser, query: str) -> None:
    assert browser.get(f"/api/worklist?{query}").status_code == 422


def test_where_the_server_refuses_to_start(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "reading.example"):
        with pytest.raises(UsageError, match="needs TLS"):
            Address(host=host, names=("reading.example",))
    pem = tmp_path / "pem"
    with pytest.raises(UsageError, match="belong together"):
        Address(certificate=pem)
    with pytest.raises(UsageError, match="--host-name"):
        Address(host="0.0.0.0", certificate=pem, key=pem)
    proxy = Proxy(addresses=frozenset(("10.0.0.2",)), user_header="x-user", secret=SECRET)
    assert Address(host="0.0.0.0", names=("reading.example",), proxy=proxy)
    assert Address(host="0.0.0.0", names=("reading.example:8443",), certificate=pem, key=pem)
    assert Address(host="127.0.0.1").is_loopback


def test_names_of_the_server() -> None:
    assert accepted_hosts(Address(), 80) == {"127.0.0.1:80", "localhost:80", "[::1]:80"}
    proxy = Proxy(addresses=frozenset(), user_header="x", secret=SECRET)
    assert accepted_hosts(Address(host="0.0.0.0", names=("R.example",), proxy=proxy), 80) == {"r.example"}


def test_the_secret_of_a_proxy(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short")
    with pytest.raises(UsageError, match="32 characters"):
        proxy_from_file(["10.0.0.2"], "X-User", file)
    file.write_text(SECRET + "\n")
    assert proxy_from_file(["10.0.0.2"], "X-User", file).user_header == "x-user"
    with pytest.raises(UsageError, match="IP addresses"):
        proxy_from_file(["proxy.example"], "X-User", file)
    with pytest.raises(UsageError, match="--proxy-secret"):
        proxy_from_file(["10.0.0.2"], "X-User", None)
