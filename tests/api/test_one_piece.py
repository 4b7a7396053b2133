"""Head and body of an answer go out together, and nothing is kept from the client."""

from __future__ import annotations

from api.wsgi import OnePiece

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class Line:
    """A connection that notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def fileno(self) -> int:
        return 7


def test_the_head_goes_with_the_first_part_of_the_body() -> None:
    line = Line()
    connection = OnePiece(line)
    for data in (HEAD, b"ab", b"cd"):
        connection.sendall(data)
    connection.flush()
    assert line.sent == [HEAD + b"ab", b"cd"]
    assert connection.fileno() == 7


def test_a_head_without_a_body_is_sent_at_the_end() -> None:
    line = Line()
    connection = OnePiece(line)
    connection.sendall(HEAD)
    connection.flush()
    connection.flush()
    assert line.sent == [HEAD]


def test_what_comes_before_the_answer_is_sent_at_once() -> None:
    line = Line()
    OnePiece(line).sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert line.sent == [b"HTTP/1.1 100 Continue\r\n\r\n"]
