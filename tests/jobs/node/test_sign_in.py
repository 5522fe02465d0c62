"""Who may use the pages: the token's file, links that are good once, and cookies that nobody can make."""

import base64
from pathlib import Path

import pytest

from ctacal.errors import UsageError
from ctacal.jobs.node.sign_in import LINK_S, SESSION_S, Seal, http_token, page_address, sign_in_link
from tests.web.node_scene import scene

TOKEN = "t" * 40


def test_the_token_is_made_once_for_the_nodes_own_user(tmp_path: Path) -> None:
    config = scene(tmp_path).config
    file = config.store / "http-token"
    file.unlink()
    token = http_token(config)
    assert len(token) >= 32
    assert (file.stat().st_mode & 0o777, http_token(config)) == (0o600, token)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("short", "32 or more"), ("ä" * 40, "printable ASCII"), ("a" * 20 + "\n" + "b" * 20, "printable ASCII")],
)
def test_a_token_that_is_no_secret_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    config = scene(tmp_path, http={"token_file": str(file)}).config
    assert http_token(config) == TOKEN
    file.write_text(content)
    with pytest.raises(UsageError, match=rf"http.token_file: .*{problem}"):
        http_token(config)
    file.unlink()
    with pytest.raises(UsageError, match="No such file"):
        http_token(config)


def test_a_link_is_good_once_and_not_for_long() -> None:
    now = [1e9]
    seal = Seal(TOKEN, clock=lambda: now[0])
    link, late = seal.link("anna"), seal.link("anna")
    assert seal.opened(link) == "anna"
    assert seal.opened(link) is None
    now[0] += LINK_S + 1
    assert seal.opened(late) is None


def test_a_cookie_outlives_the_process_but_not_its_time_or_the_token() -> None:
    now = [1e9]
    cookie = Seal(TOKEN, clock=lambda: now[0]).cookie("änna")
    seal = Seal(TOKEN, clock=lambda: now[0])  # a new process
    assert seal.user(cookie) == "änna"
    assert Seal("u" * 40, clock=lambda: now[0]).user(cookie) is None
    assert seal.opened(cookie) is None  # a cookie is no link
    assert seal.user(seal.link()) is None  # and a link is no cookie
    now[0] += SESSION_S + 1
    assert seal.user(cookie) is None
    now[0] -= 10 * SESSION_S  # the clock is set back: it is good for no longer than any other
    assert seal.user(cookie) is None


def test_no_change_of_a_cookie_is_accepted() -> None:
    seal = Seal(TOKEN)
    cookie = seal.cookie("anna")
    name = base64.urlsafe_b64encode(b"eve").decode()
    forged = [
        cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        name + cookie[cookie.index(".") :],
        "",
        ".",
        "...",
        "ä",
    ]
    assert [seal.user(one) for one in forged] == [None] * len(forged)


def test_only_the_token_is_the_token() -> None:
    seal = Seal(TOKEN)
    assert seal.is_token(TOKEN)
    assert not any(seal.is_token(other) for other in ("", TOKEN[:-1], TOKEN + "t", "ä"))


def test_addresses(tmp_path: Path) -> None:
    assert page_address(scene(tmp_path).config) == "http://127.0.0.1:8080"
    assert page_address(scene(tmp_path, http={"host": "::1", "port": 81}).config) == "http://[::1]:81"
    tls = {"certificate": str(tmp_path / "c"), "key": str(tmp_path / "k")}
    away = {"host": "0.0.0.0", "names": ["ctacal.hospital.example:8443"], "tls": tls}
    config = scene(tmp_path, http=away).config
    assert sign_in_link(config).startswith("https://ctacal.hospital.example:8443/start?token=")
    with pytest.raises(UsageError, match="no pages"):
        sign_in_link(scene(tmp_path, http={"port": 0}).config)
