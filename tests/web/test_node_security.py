"""Who may ask a node, and for what: each rule has an attack that it stops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from ctacal.errors import UsageError
from ctacal.web.guard import MAX_BODY
from ctacal.web.node_app import node_app
from ctacal.web.node_guard import is_for_programs
from ctacal.web.node_serve import accepted_hosts
from tests.web.node_scene import HOST, OWN, Scene, Visitor, scene

SECRET = "s" * 40
OPEN = ("/healthz", "/sign-in", "/start", "/node_page/{name}", "/sign-out")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(tmp_path)
    there.score(1)
    there.hold("refused")
    yield there
    there.close()


def routes(node: Scene) -> list[tuple[str, str]]:
    """Method and path of every call, with places filled in."""
    found = []
    for route in node_app(node.site).routes:
        assert isinstance(route, Route)
        path = route.path.replace("{study_uid}", node.uid(1)).replace("{delivery_id}", "1").replace("{name}", "a.css")
        method = "POST" if "POST" in (route.methods or ()) else "GET"
        if route.path not in OPEN:
            found.append((method, path))
    return found


def test_nothing_is_shown_or_done_for_strangers(node: Scene) -> None:
    stranger = Visitor(node)
    asked = 0
    for method, path in routes(node):
        answer = stranger.send(method, path, OWN, content="{}") if method == "POST" else stranger.get(path)
        if path == "/metrics":  # numbers only, and this is the machine itself
            assert answer.status_code == 200
            continue
        assert (answer.status_code, answer.headers.get("location")) in ((401, None), (303, "/sign-in")), path
        asked += 1
    assert asked >= 16
    assert node.ledger.held()  # still held


def test_a_cookie_opens_no_call_of_programs_and_the_token_no_page(node: Scene) -> None:
    anna, program = Visitor(node).sign_in(), Visitor(node).with_token()
    for method, path in routes(node):
        if path == "/metrics":
            continue
        visitor = anna if is_for_programs(path) else program
        answer = visitor.send(method, path, OWN, content="{}")
        assert answer.status_code in (401, 303), path
    assert node.ledger.held()


@pytest.mark.parametrize("scheme", ["", "Bearer", "Bearer ", "Basic {}", "Bearer {}x", "{}", "Bearer x{}", "bearer  x"])
def test_only_the_token_in_its_header_is_accepted(node: Scene, scheme: str) -> None:
    headers = {"Authorization": scheme.format(node.site.seal.token)}
    assert Visitor(node, headers=headers).get("/api/overview").status_code == 401


def test_the_token_in_two_headers_is_no_token(node: Scene) -> None:
    import asyncio

    import httpx

    program = Visitor(node)
    value = f"Bearer {node.site.seal.token}"

    async def ask() -> int:
        transport = httpx.ASGITransport(program.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            headers = [("Authorization", value), ("Authorization", value)]
            return (await client.get("/api/overview", headers=headers)).status_code

    assert asyncio.run(ask()) == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9999", "localhost", f"{HOST}.evil.example", ""])
def test_dns_rebinding_another_name_is_refused(node: Scene, host: str) -> None:
    anna = Visitor(node).sign_in()
    for path in ("/", "/list", "/held", "/sign-in", "/start?token=x", "/node_page/node.js"):
        assert anna.get(path, Host=host).status_code == 403
    assert anna.get("/healthz", Host=host).status_code in (200, 503)  # a load balancer calls it by its address


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {name: value for name, value in OWN.items() if name != "X-Ctacal"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "none"},
        OWN | {"Content-Type": "text/plain"},
        OWN | {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_another_sites_page_cannot_press_a_button(node: Scene, headers: dict[str, str]) -> None:
    """Cross-site request forgery: the cookie alone is not enough."""
    anna = Visitor(node).sign_in()
    for path in ("/do/retry", f"/do/score/{node.uid(1)}", "/sign-in"):
        assert anna.press(path, headers=headers).status_code in (403, 415)
    assert len(node.ledger.held()) == 2


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(node: Scene, method: str) -> None:
    for path in ("/", "/api/overview", "/studies", "/metrics"):
        assert Visitor(node).with_token().send(method, path, OWN).status_code in (405, 404)


def test_no_answer_may_be_read_by_another_site_or_kept(node: Scene) -> None:
    anna = Visitor(node).sign_in().with_token()
    paths = ("/", "/list", "/sign-in", "/api/overview", "/healthz", "/metrics", "/nothing", "/start?token=x",
             f"/study/{node.uid(1)}/files/report.html")  # fmt: skip
    for path in paths:
        answer = anna.get(path, Origin="http://evil.example")
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in policy or "sandbox" in policy  # a report brings its style, and runs nothing


def test_signing_in_by_a_link_by_the_token_and_out(node: Scene) -> None:
    visitor = Visitor(node)
    link = f"/start?token={node.site.seal.link('anna')}"
    answer = visitor.get(link)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert visitor.get(link).status_code == 403  # it is good once
    assert visitor.press("/sign-in", {"token": "x" * 43}).status_code == 403
    assert visitor.press("/sign-in", {"token": 5}).status_code == 403
    assert visitor.press("/sign-in", "x").status_code == 422
    typed = visitor.press("/sign-in", {"token": node.site.seal.token})
    visitor.cookies = dict(typed.cookies)
    assert visitor.get("/").status_code == 200
    out = visitor.press("/sign-out")
    assert out.json()["go"] == "/sign-in"
    assert "max-age=0" in out.headers["set-cookie"].lower()


def test_the_open_page_hears_that_it_is_signed_out(node: Scene) -> None:
    assert Visitor(node).get("/", **{"X-Ctacal": "1"}).status_code == 401


def test_a_proxy_names_the_user_only_from_its_address_and_with_its_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    node = scene(tmp_path, http={"proxy": ["10.0.0.2"], "proxy_secret_file": str(secret)})
    headers = {"X-Remote-User": "anna", "X-Ctacal-Proxy-Secret": SECRET}
    assert "anna" in Visitor(node, "10.0.0.2", headers).get("/").text
    assert Visitor(node, "10.0.0.3", headers).get("/").status_code == 303
    assert Visitor(node, "10.0.0.2", headers | {"X-Ctacal-Proxy-Secret": "x"}).get("/").status_code == 303
    assert Visitor(node).get(f"/start?token={node.site.seal.link()}").status_code == 403
    assert Visitor(node).press("/sign-in", {"token": node.site.seal.token}).status_code == 403
    assert Visitor(node).get("/metrics").status_code == 401  # behind a proxy, everybody seems to be the machine
    node.close()


@pytest.mark.parametrize(
    ("http", "problem"),
    [
        ({"host": "0.0.0.0"}, "host 0.0.0.0: away from this machine the pages need TLS"),
        ({"host": "0.0.0.0", "proxy": ["10.0.0.2"]}, "proxy_secret_file: missing"),
        ({"host": "node.example", "tls": {"certificate": "c", "key": "k"}}, "names: missing"),
        ({"proxy": ["proxy.example"], "proxy_secret_file": "SECRET"}, "give IP addresses"),
    ],
)
def test_where_the_pages_refuse_to_start(tmp_path: Path, http: dict[str, Any], problem: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    settings = {name: str(secret) if value == "SECRET" else value for name, value in http.items()}
    with pytest.raises(UsageError, match=problem):
        scene(tmp_path, http=settings)


def test_names_of_the_node(tmp_path: Path) -> None:
    tls = {"certificate": str(tmp_path / "c"), "key": str(tmp_path / "k")}
    config = scene(tmp_path, http={"host": "0.0.0.0", "names": ["Node.Example:8443"], "tls": tls}).config
    assert accepted_hosts(config.http) == {"node.example:8443"}
    assert "127.0.0.1:8080" in accepted_hosts(scene(tmp_path).config.http)


@pytest.mark.parametrize(
    "path",
    [
        "/node_page/..%2f..%2fnode_app.py", "/node_page/%2e%2e/app.py", "/node_page/now.html.j2",
        "/node_page/.hidden.js", "/node_page/", "/node_page/a%00.js", "/study/{uid}/files/..%2freport.html",
        "/study/{uid}/files/result.json",
        "/study/{uid}/files/%2e%2e%2f%2e%2e%2fid", "/study/..%2f..%2fid/files/id", "/..%2f..%2fetc/passwd",
    ],
)  # fmt: skip
def test_paths_lead_nowhere_else(node: Scene, path: str) -> None:
    answer = Visitor(node).sign_in().get(path.format(uid=node.uid(1)))
    assert answer.status_code == 404


def test_large_bodies_are_refused(node: Scene) -> None:
    anna, program = Visitor(node).sign_in(), Visitor(node).with_token()
    big = b'{"x": "' + b"a" * MAX_BODY + b'"}'
    assert anna.send("POST", "/do/retry", OWN, content=big).status_code == 413
    assert program.send("POST", "/api/held/retry", content=big).status_code == 413
    assert Visitor(node).send("GET", "/healthz", content=b"x" * 100).status_code in (200, 503)
