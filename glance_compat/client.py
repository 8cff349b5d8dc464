"""A small client of Glance's image API v2: one tenant, every answer checked."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import requests

from glance_compat.failure import Failure

TIMEOUT_S = 60.0
TAGS = re.compile(r"<[^>]*>")  # Glance's error pages are HTML


class Upload(io.RawIOBase):
    """`length` bytes of a repeating pattern, read once; `advance(count)` is told how many bytes went out."""

    PATTERN = bytes(range(256)) * 256

    def __init__(self, length: int, advance: Callable[[int], None]) -> None:
        self._left = self._length = length
        self._advance = advance

    def __len__(self) -> int:  # so that requests sends Content-Length and not chunks
        return self._length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        begin = (self._length - self._left) % len(self.PATTERN)
        piece = self.PATTERN[begin : begin + min(self._left, len(self.PATTERN) if size < 0 else size)]
        self._left -= len(piece)
        self._advance(len(piece))
        return piece

    @classmethod
    def content(cls, length: int) -> bytes:
        """The same bytes at once, to compare a download with; `length` must be a multiple of the pattern's."""
        return cls.PATTERN * (length // len(cls.PATTERN))


class Client:
    """Speaks to the server at `url` as an ordinary member of the project `tenant` (see `glance_compat.trusted`).

    Every request has a connection of its own, which any worker may take, so one worker reads what another has written.
    """

    def __init__(self, url: str, tenant: str) -> None:
        self.tenant = tenant
        self._url = url
        self._session = requests.Session()
        self._session.headers.update(
            {
                "X-Identity-Status": "Confirmed",
                "X-Project-Id": tenant,
                "X-User-Id": tenant,
                "X-Roles": "member,reader",
                "Connection": "close",
            }
        )

    def close(self) -> None:
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        expected: int,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        data: Any = None,
        content_type: str | None = None,
    ) -> requests.Response:
        """Send one request and return its answer; `path` begins below the server's address, with `/v2/`.

        Raises `Failure` when the status is not `expected` or no answer came.
        """
        headers = {"Content-Type": content_type} if content_type else None
        try:
            answer = self._session.request(
                method, self._url + path, params=params, json=json, data=data, headers=headers, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            raise Failure(f"{method} {path} got no answer: {error}") from None
        if answer.status_code != expected:
            said = " ".join(TAGS.sub(" ", answer.text).split())[:300]
            raise Failure(f"{method} {path} answered {answer.status_code} where {expected} was due: {said}")
        return answer
