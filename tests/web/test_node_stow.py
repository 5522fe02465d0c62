"""STOW-RS: what is stored, what is refused, and what is answered, for good bodies and for hostile ones."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctacal.jobs.node.ledger import StudyState
from ctacal.web.multipart import Begin, End, MultipartRelated, NotMultipart, Piece
from tests.web.node_scene import Scene, Visitor, scene
from tests.web.stow_bodies import BOUNDARY, CONTENT_TYPE, STUDY, body, image

OTHER_STUDY = "1.2.826.0.1.3680043.8.498.78"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Scene]:
    there = scene(tmp_path, receive={"largest_object_mb": 1, "idle_s": 0.5}, http={"largest_request_mb": 8})
    with there.arrivals:
        yield there
    there.close()


@pytest.fixture
def program(node: Scene) -> Visitor:
    return Visitor(node).with_token()


def stow(program: Visitor, content: Any, path: str = "/studies", content_type: str = CONTENT_TYPE) -> httpx.Response:
    return program.send("POST", path, {"Content-Type": content_type}, content=content)


def stored(node: Scene, study_uid: str = STUDY) -> list[str]:
    return [path.name for path in node.store.received(study_uid)]


def reasons(answer: httpx.Response, name: str = "00081198") -> list[int]:
    """Failure reasons in the answer."""
    return [item["00081197"]["Value"][0] for item in answer.json().get(name, {}).get("Value", [])]


def leftovers(node: Scene) -> list[str]:
    return [path.name for path in (node.store.folder / "incoming").iterdir()]


def test_a_study_is_stored_and_the_ledger_knows(node: Scene, program: Visitor) -> None:
    answer = stow(program, body([image(number) for number in range(1, 6)]))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom+json")
    references = answer.json()["00081199"]["Value"]
    assert [item["00081155"]["Value"][0] for item in references] == [f"{STUDY}.1.{number}" for number in range(1, 6)]
    assert references[0]["00081150"]["Value"] == ["1.2.840.10008.5.1.4.1.1.2"]
    assert len(stored(node)) == 5
    node.arrivals.__exit__()  # what is not told yet is told
    study = node.ledger.study(STUDY)
    assert study
    assert (study.state, study.objects, study.sources) == (StudyState.RECEIVING, 5, ("STOW-RS@127.0.0.1",))
    (record,) = [one.content for one in node.ledger.audit.records() if one.content["what"] == "STOW-RS request"]
    assert (record["objects"], record["source"]) == ({"kept": 5}, "STOW-RS@127.0.0.1")
    assert not leftovers(node)


def test_the_same_again_is_no_change_and_other_bytes_are_set_aside(node: Scene, program: Visitor) -> None:
    assert stow(program, body([image(1)])).status_code == 200
    assert stow(program, body([image(1)])).status_code == 200
    other = stow(program, body([image(1, pixels=b"\1\1" * 32), image(2)]))
    assert (other.status_code, reasons(other)) == (202, [0x0111])
    assert len(stored(node)) == 2
    assert len(list((node.store.folder / "aside").rglob("*.dcm"))) == 1


def test_the_study_in_the_path(node: Scene, program: Visitor) -> None:
    answer = stow(program, body([image(1), image(2, study_uid=OTHER_STUDY)]), f"/studies/{STUDY}")
    assert (answer.status_code, reasons(answer)) == (202, [0xA901])
    failed = answer.json()["00081198"]["Value"][0]
    assert failed["00081155"]["Value"] == [f"{OTHER_STUDY}.1.2"]
    assert (len(stored(node)), stored(node, OTHER_STUDY)) == (1, [])
    nothing = stow(program, body([image(2, study_uid=OTHER_STUDY)]), f"/studies/{STUDY}")
    assert nothing.status_code == 409
    assert stow(program, body([image(1)]), "/studies/1..2").status_code == 400


def test_what_is_no_dicom_fails_alone(node: Scene, program: Visitor) -> None:
    answer = stow(program, body([b"no image", image(1), image(2)[:200]]))
    assert answer.status_code == 202
    assert reasons(answer, "0008119A") == [0xC000, 0xC122]  # nobody knows whose UID to name
    assert stored(node) == [f"{STUDY}.1.1.dcm"]
    assert stow(program, body([b"no image"])).status_code == 409


def test_too_large_an_object_fails_alone(node: Scene, program: Visitor) -> None:
    answer = stow(program, body([image(1, pixels=bytes(2 * 10**6)), image(2)]))
    assert answer.status_code == 202
    assert reasons(answer, "0008119A") == [0xC113]  # A7xx would be "later", and the sender might try for ever
    assert stored(node) == [f"{STUDY}.1.2.dcm"]
    assert not leftovers(node)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/dicom", 415), ("multipart/form-data; boundary=x", 415), ("", 415),
        (f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}', 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=""', 400),
        (f'multipart/related; type="application/dicom"; boundary={"x" * 71}', 400),
        (f'Multipart/Related; boundary="{BOUNDARY}"; Type="Application/DICOM"', 200),
        (f"multipart/related; boundary={BOUNDARY}", 200),
    ],
)  # fmt: skip
def test_content_types(program: Visitor, content_type: str, status: int) -> None:
    assert stow(program, body([image(1)]), content_type=content_type).status_code == status


def test_an_answer_in_xml_is_not_made(program: Visitor) -> None:
    headers = {"Content-Type": CONTENT_TYPE, "Accept": "application/dicom+xml"}
    assert program.send("POST", "/studies", headers, content=body([image(1)])).status_code == 406


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\r\n", b"--", b"no boundary at all", f"--{BOUNDARY}--".encode(), f"--{BOUNDARY}\r\n".encode(),
        body([image(1)])[:-3],
        body([image(1)]).replace(BOUNDARY.encode(), b"other-boundary"),
        b"--" + BOUNDARY.encode() + b"\r\nContent-Type application/dicom\r\n\r\nx\r\n--" + BOUNDARY.encode() + b"--",
        b"--" + BOUNDARY.encode() + b"\r\nX: " + b"y" * 10_000 + b"\r\n\r\nx\r\n--" + BOUNDARY.encode() + b"--",
        b"--" + BOUNDARY.encode() + b"\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--" + BOUNDARY.encode() + b"--",
    ],
)  # fmt: skip
def test_bodies_that_are_broken(node: Scene, program: Visitor, content: bytes) -> None:
    answer = stow(program, content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert not leftovers(node)


def test_what_came_before_the_break_is_kept(node: Scene, program: Visitor) -> None:
    whole = body([image(1), image(2)])
    answer = stow(program, whole[: len(whole) - 100])
    assert answer.status_code == 400
    assert "what came before the end was kept" in answer.json()["error"]["message"]
    assert stored(node) == [f"{STUDY}.1.1.dcm"]
    assert stow(program, whole).status_code == 200


def test_a_part_of_another_type_is_not_stored(node: Scene, program: Visitor) -> None:
    assert stow(program, body([image(1)], part_type="image/jpeg")).status_code == 409
    assert stow(program, body([image(1)], part_type="")).status_code == 200
    assert stow(program, body([image(2)], part_type="application/dicom; transfer-syntax=*")).status_code == 200


def test_a_preamble_and_an_epilogue_mean_nothing(node: Scene, program: Visitor) -> None:
    assert stow(program, b"\r\n" + body([image(1)]) + b"\r\nthe end\r\n").status_code == 200
    assert len(stored(node)) == 1


def test_a_request_that_is_too_large(node: Scene, program: Visitor) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        content = body([image(number, pixels=bytes(900_000)) for number in range(12)])
        for begin in range(0, len(content), 65536):
            yield content[begin : begin + 65536]

    answer = stow(program, in_pieces())
    assert answer.status_code == 413
    assert 1 <= len(stored(node)) <= 9
    assert not leftovers(node)


def test_a_sender_that_stalls_is_given_up(node: Scene, program: Visitor) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        import asyncio

        yield body([image(1)])[:-40]
        await asyncio.Event().wait()

    answer = stow(program, stalling())
    assert (answer.status_code, "nothing came" in answer.json()["error"]["message"]) == (408, True)
    assert not leftovers(node)


def test_a_full_disk(tmp_path: Path) -> None:
    full = scene(tmp_path, disk={"reserve_mb": 10**9, "reserve_percent": 0.0})
    with full.arrivals:
        answer = stow(Visitor(full).with_token(), body([image(1)]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert not stored(full)
    full.close()


def test_only_with_the_token(node: Scene) -> None:
    answer = stow(Visitor(node), body([image(1)]))
    assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert stow(Visitor(node, headers={"Authorization": "Bearer " + "x" * 43}), body([image(1)])).status_code == 401
    assert stow(Visitor(node).sign_in(), body([image(1)])).status_code == 401  # a page of another site has cookies
    assert not stored(node)


def test_stow_may_be_switched_off(tmp_path: Path) -> None:
    without = scene(tmp_path, http={"stow": False})
    assert stow(Visitor(without).with_token(), body([image(1)])).status_code == 404
    without.close()


def test_no_answer_names_a_patient(program: Visitor) -> None:
    for content in (body([image(1)]), body([image(1, pixels=b"x" * 64)]), body([image(1)[:300]])):
        assert b"Canary" not in stow(program, content).content


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.lists(st.integers(1, 400), min_size=1, max_size=30)
)
def test_parts_come_out_as_they_went_in_however_they_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    content, parser = body(parts), MultipartRelated(BOUNDARY)
    found: list[bytes] = []
    ended = 0
    begin, number = 0, 0
    while begin < len(content):
        cut = cuts[number % len(cuts)]
        for event in parser.feed(content[begin : begin + cut]):
            if isinstance(event, Begin):
                assert event.content_type == "application/dicom"
                found.append(b"")
            elif isinstance(event, Piece):
                found[-1] += event.content
            else:
                assert isinstance(event, End)
                ended += 1
        begin, number = begin + cut, number + 1
    assert parser.finished
    assert (found, ended) == (parts, len(parts))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_bytes_break_the_parser(noise: bytes, where: int) -> None:
    content = body([b"a", b"b"])
    parser = MultipartRelated(BOUNDARY)
    try:
        parser.feed(content[:where] + noise + content[where:])
    except NotMultipart as problem:
        assert str(problem)


def test_other_clients_bodies(node: Scene, program: Visitor) -> None:
    """The form of dicomweb-client: a line break before the first boundary, none after the last."""
    from dicomweb_client.web import DICOMwebClient

    content_type = 'multipart/related; type="application/dicom"; boundary="0f3cf5c0-70e0"'
    content = DICOMwebClient._encode_multipart_message([image(1), image(2)], content_type)
    answer = stow(program, content, content_type=content_type)
    assert answer.status_code == 200
    assert json.loads(answer.text)["00081199"]["Value"]
    assert len(stored(node)) == 2
