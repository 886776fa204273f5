"""Downloads from a server that cuts, ignores, lies or is gone; the server runs in this process."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from i2i.data.download import fetch, record_of
from i2i.data.public import get
from i2i.errors import DataError, RecipeError, ResourceError

DATA = bytes(range(256)) * 400
NOW = (0.0, 0.0, 0.0)


@dataclass
class Behaviour:
    """What the server does: `cut` gives for each request how many bytes it sends before it hangs up."""

    data: bytes = DATA
    etag: str | None = '"one"'
    ranges: bool = True
    length: bool = True
    status: int = 200
    shift: int = 0
    cut: list[int | None] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        behaviour: Behaviour = self.server.behaviour
        wanted = self.headers.get("Range")
        behaviour.asked.append(wanted)
        if behaviour.status != 200:
            self.send_error(behaviour.status)
            return
        start, data = 0, behaviour.data
        same = behaviour.etag is not None and self.headers.get("If-Range") == behaviour.etag
        if wanted and behaviour.ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) + behaviour.shift
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if behaviour.etag:
            self.send_header("ETag", behaviour.etag)
        if behaviour.length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        cut = behaviour.cut.pop(0) if behaviour.cut else None
        self.wfile.write(data[start:] if cut is None else data[start : start + cut])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    """A server on this machine: the address of its one file, and how it behaves."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.behaviour = Behaviour()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/file.tar.gz", running.behaviour
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("I2I_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


def test_a_file_arrives_and_is_written_down(server, tmp_path, cache):
    url, _ = server
    told = []
    fetched = fetch(url, tmp_path / "out/x", watch=lambda there, total: told.append((there, total)))
    assert (tmp_path / "out/x").read_bytes() == DATA
    assert (fetched.size, fetched.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert told[-1] == (len(DATA), len(DATA))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x"]
    assert record_of(url).is_relative_to(cache)
    assert json.loads(record_of(url).read_text())["sha256"] == fetched.sha256


def test_a_connection_that_is_cut_is_gone_on_with(server, tmp_path):
    url, behaviour = server
    behaviour.cut = [1000, 50_000]
    fetch(url, tmp_path / "x", pauses=NOW)
    assert (tmp_path / "x").read_bytes() == DATA
    assert behaviour.asked == [None, "bytes=1000-", "bytes=51000-"]


def test_what_arrived_is_kept_for_the_next_command(server, tmp_path):
    url, behaviour = server
    behaviour.cut = [1000]
    with pytest.raises(
        ResourceError, match=r"cut at 1,000 of 102,400 bytes.*1,000 bytes have arrived"
    ) as caught:
        fetch(url, tmp_path / "x", pauses=())
    assert caught.value.exit_code == 4
    assert not (tmp_path / "x").exists()
    fetch(url, tmp_path / "x", pauses=())
    assert (tmp_path / "x").read_bytes() == DATA
    assert behaviour.asked == [None, "bytes=1000-"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("x")] == ["x"]


def test_pauses_begin_again_after_progress(server, tmp_path):
    url, behaviour = server
    behaviour.cut = [100] * 30
    fetch(url, tmp_path / "x", pauses=(0.0,))
    assert (tmp_path / "x").read_bytes() == DATA
    behaviour.cut = [0] * 30
    with pytest.raises(ResourceError):
        fetch(url, tmp_path / "y", pauses=NOW)
    assert len(behaviour.cut) == 30 - 4


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": None}, {"shift": 5}])
def test_a_server_that_cannot_go_on_starts_over(server, tmp_path, change):
    url, behaviour = server
    behaviour.cut = [1000]
    for name, value in change.items():
        setattr(behaviour, name, value)
    fetch(url, tmp_path / "x", pauses=NOW)
    assert (tmp_path / "x").read_bytes() == DATA


def test_halves_of_two_versions_are_never_joined(server, tmp_path):
    url, behaviour = server
    behaviour.cut = [1000]
    with pytest.raises(ResourceError):
        fetch(url, tmp_path / "x", pauses=())
    behaviour.data, behaviour.etag = DATA[::-1], '"two"'
    fetch(url, tmp_path / "x", pauses=())
    assert (tmp_path / "x").read_bytes() == DATA[::-1]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    url, behaviour = server
    behaviour.cut = [1000]
    with pytest.raises(ResourceError):
        fetch(url, tmp_path / "x", pauses=())
    behaviour.data = DATA[:500]
    fetch(url, tmp_path / "x", pauses=NOW)
    assert (tmp_path / "x").read_bytes() == DATA[:500]


def test_other_bytes_the_second_time_are_refused(server, tmp_path):
    url, behaviour = server
    fetch(url, tmp_path / "x")
    behaviour.data = DATA[:-1] + b"!"
    with pytest.raises(DataError) as caught:
        fetch(url, tmp_path / "y")
    assert caught.value.exit_code == 3
    assert "is not the file that it was at its first download" in str(caught.value)
    assert f"remove {record_of(url)}" in str(caught.value)
    assert not list(tmp_path.glob("y*"))
    record_of(url).unlink()
    fetch(url, tmp_path / "y")


def test_a_file_that_is_there_is_compared_and_not_fetched_again(server, tmp_path):
    url, behaviour = server
    fetch(url, tmp_path / "x")
    fetch(url, tmp_path / "x")
    assert len(behaviour.asked) == 1
    (tmp_path / "x").write_bytes(b"other")
    with pytest.raises(DataError, match="first download"):
        fetch(url, tmp_path / "x")


def test_without_a_length_the_end_is_the_end(server, tmp_path):
    url, behaviour = server
    behaviour.length = False
    fetch(url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize(
    ("status", "words"), [(404, "answers 404"), (403, "answers 403"), (503, "answers 503")]
)
def test_a_server_that_refuses_is_quoted(server, tmp_path, status, words):
    url, behaviour = server
    behaviour.status = status
    with pytest.raises(ResourceError, match=words):
        fetch(url, tmp_path / "x", pauses=(0.0,))
    assert len(behaviour.asked) == (2 if status == 503 else 1)
    assert not (tmp_path / "x").exists()


def test_offline_is_one_sentence(tmp_path):
    with pytest.raises(ResourceError, match=r"cannot be reached: .*offline\? --url") as caught:
        fetch("http://127.0.0.1:9/file.tar.gz", tmp_path / "x")
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "data:,x", "x"])
def test_only_http_is_spoken(tmp_path, url):
    with pytest.raises(RecipeError, match="starts with http"):
        fetch(url, tmp_path / "x")


def test_an_address_that_is_none_is_one_sentence(tmp_path):
    with pytest.raises(RecipeError, match=r"'http://\[::1' is no address"):
        fetch("http://[::1", tmp_path / "x")


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be written"):
        fetch(server[0], tmp_path / "file/x")


def test_a_zip_that_was_cut_short_is_gone_on_with_and_unpacked(server, tmp_path):
    url, behaviour = server
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("horse2zebra/trainA/1.jpg", DATA)
        file.writestr("horse2zebra/trainB/2.jpg", DATA[::-1])
    behaviour.data, behaviour.cut = buffer.getvalue(), [70_000]
    url = url.replace(".tar.gz", ".zip")
    with pytest.raises(ResourceError, match="70,000 bytes have arrived and are kept"):
        get("horse2zebra", tmp_path / "data", url=url, pauses=())
    folder, fetched = get("horse2zebra", tmp_path / "data", url=url, pauses=())
    assert behaviour.asked == [None, "bytes=70000-"]
    assert (folder / "trainB/2.jpg").read_bytes() == DATA[::-1]
    assert fetched.sha256 == hashlib.sha256(buffer.getvalue()).hexdigest()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["horse2zebra"]
