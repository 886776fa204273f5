"""`python -m i2i_datasets get`: against a stand-in for the hub on this machine, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from i2i_datasets import hub
from i2i_datasets.command import main
from i2i_datasets.packing import pack
from i2i_datasets.pairs import Pairs
from PIL import Image

from i2i.errors import DataError, RecipeError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (value, 9, 9)).save(buffer, "JPEG")
    return buffer.getvalue()


def parquet(first: int, count: int) -> bytes:
    """Return a Parquet file of pairs, as the library uploads them."""
    pictures = [{"bytes": jpeg(first + n), "path": f"{n}.jpg"} for n in range(count)]
    names = [f"n{first + n}" for n in range(count)]
    buffer = io.BytesIO()
    pq.write_table(pa.table({"segmentation": pictures, "photo": pictures, "name": names}), buffer)
    return buffer.getvalue()


FILES = {
    "data/train-00000-of-00002.parquet": parquet(0, 6),
    "data/train-00001-of-00002.parquet": parquet(6, 4),
    "data/validation-00000-of-00001.parquet": parquet(100, 3),
}
COLUMNS = ("--source", "segmentation", "--target", "photo", "--id", "name")


class StandIn(BaseHTTPRequestHandler):
    """Answers what the hub's client asks of one data set, owner/pairs, at one commit."""

    files: Mapping[str, bytes] = FILES
    head = "/datasets/owner/pairs/resolve/"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if match := re.fullmatch(rf"{self.head}{COMMIT}/(.+)", path):
            name = match[1].replace("%2F", "/")
            if name in self.files:
                return self.send(self.files[name], file=True)
            return self.send(b"", code=404, error="EntryNotFound")
        if path == f"/api/datasets/owner/pairs/revision/{COMMIT}":
            return self.say({"id": "owner/pairs", "sha": COMMIT, "siblings": [], "private": False})
        if match := re.fullmatch(rf"/api/datasets/owner/pairs/tree/{COMMIT}(?:/(.*))?", path):
            below = (match[1] or "").replace("%2F", "/")
            entries = [entry for entry in self.entries() if entry["path"].startswith(below)]
            deep = "recursive=True" in self.path or "recursive=true" in self.path
            depth = below.count("/") + 1 if below else 0
            return self.say([e for e in entries if deep or e["path"].count("/") == depth])
        return self.send(
            b"", code=404, error="RepoNotFound" if "owner/pairs" not in path else "EntryNotFound"
        )

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path != f"/api/datasets/owner/pairs/paths-info/{COMMIT}":
            return self.send(b"", code=404, error="RepoNotFound")
        paths = json.loads(asked)["paths"]
        return self.say([entry for entry in self.entries() if entry["path"] in paths])

    def entries(self) -> list[dict[str, object]]:
        folders = sorted({name.rpartition("/")[0] for name in self.files if "/" in name})
        found: list[dict[str, object]] = [{"type": "directory", "oid": "0" * 40, "path": f} for f in folders]
        for name, data in self.files.items():
            oid = hashlib.sha1(data).hexdigest()
            found.append({"type": "file", "oid": oid, "size": len(data), "path": name})
        return found

    def say(self, answer: object) -> None:
        self.send(json.dumps(answer).encode())

    def send(self, data: bytes, *, code: int = 200, error: str = "", file: bool = False) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        if error:
            self.send_header("X-Error-Code", error)
        if file:
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(endpoint: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `get` in a process of its own, whose hub is the stand-in."""
    return subprocess.run(
        [sys.executable, "-m", "i2i_datasets", "get", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "I2I_CACHE_DIR": str(tmp_path / "cache"),
        },
    )


def test_a_data_set_is_fetched_by_its_name_at_one_commit_as_a_pack(endpoint, tmp_path):
    done = get(endpoint, tmp_path, "owner/pairs", "packs/theirs", "--revision", COMMIT, *COLUMNS)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "packs" / "theirs"
    data = Pairs("train", root=root)
    assert data.ids == [f"n{n}" for n in range(10)]
    assert data.layout == f"a pack of owner/pairs at {COMMIT}"
    assert Pairs("val", root=root).ids == ["n100", "n101", "n102"]
    assert abs(int(data[7]["source"][0, 0, 0]) - 7) <= 2
    assert data.file_sizes[7] == (len(jpeg(7)), len(jpeg(7)))
    assert "train: 10 pairs" in done.stdout
    assert not list((tmp_path / "cache").glob("hub/*"))


@pytest.mark.slow
def test_splits_can_be_parts_of_others(endpoint, tmp_path):
    shares = ("--split", "train=train[:80%]", "--split", "val=train[80%:]", "--split", "test=validation")
    done = get(endpoint, tmp_path, "owner/pairs", "theirs", "--revision", COMMIT, *COLUMNS, *shares)
    assert done.returncode == 0, done.stderr
    found = {split: Pairs(split, root=tmp_path / "theirs").ids for split in ("train", "val", "test")}
    assert found["train"] + found["val"] == [f"n{n}" for n in range(10)]
    assert found["val"] == ["n8", "n9"]
    assert found["test"] == ["n100", "n101", "n102"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ["owner/pairs", *COLUMNS[2:]],
            3,
            "there is no column 'source'; the columns are segmentation, photo",
        ),
        (["owner/nothing", *COLUMNS], 4, "owner/nothing cannot be had: "),
        (["owner/pairs", *COLUMNS, "--split", "val=nothing"], 2, "--split val=nothing cannot be had: "),
    ],
    ids=["no column", "no data set", "no split"],
)
def test_what_the_hub_lacks_is_told_in_a_sentence(endpoint, tmp_path, arguments, code, told):
    name, *rest = arguments
    done = get(endpoint, tmp_path, name, "theirs", "--revision", COMMIT, *rest)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert told in done.stderr
    assert not (tmp_path / "theirs").exists()


@pytest.mark.slow
def test_a_folder_of_that_name_is_not_taken_for_it(endpoint, tmp_path):
    (tmp_path / "owner" / "pairs").mkdir(parents=True)
    (tmp_path / "owner" / "pairs" / "train.parquet").write_bytes(parquet(0, 2))
    done = get(endpoint, tmp_path, "owner/pairs", "theirs", "--revision", COMMIT, *COLUMNS)
    assert done.returncode == 3
    assert "owner/pairs is of files that are not its own at this commit" in done.stderr


@pytest.mark.slow
def test_without_a_network_it_says_so(tmp_path):
    done = get("http://127.0.0.1:9", tmp_path, "owner/pairs", "theirs", "--revision", COMMIT, *COLUMNS)
    assert done.returncode == 4, done.stderr
    assert "owner/pairs cannot be had: " in done.stderr
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["pairs", "--revision", COMMIT],
            "'pairs' is no name of a data set on the hub",
        ),
        (["owner/pairs", "--revision", "main"], "'main' is no commit: give the 40 digits of one"),
        (["owner/pairs"], "--revision"),
        (["owner/pairs", "--revision", COMMIT, "--split", "vall=x"], "did you mean 'val'?"),
    ],
    ids=["no owner", "a branch", "no revision", "misspelt split"],
)
def test_what_is_not_asked_for_rightly_is_refused_before_anything_is_fetched(
    tmp_path, capsys, arguments, told
):
    name, *rest = arguments
    with pytest.raises(SystemExit) as ended:
        main(["get", name, str(tmp_path / "out"), *rest])
    assert ended.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a folder of Parquet files that is as one on the hub."""
    for name, data in FILES.items():
        path = tmp_path / "stored" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "stored"


def test_a_picture_that_cannot_be_used_is_named(stored, tmp_path):
    table = pq.read_table(stored / "data" / "validation-00000-of-00001.parquet").to_pylist()
    table[1]["photo"]["bytes"] = b"no picture"
    pq.write_table(pa.Table.from_pylist(table), stored / "data" / "validation-00000-of-00001.parquet")
    builder = hub.fetched(str(stored), revision=None, config=None, cache=tmp_path / "cache")
    opened = hub.opener(builder, name="theirs", columns=("segmentation", "photo"), ids="name", splits={})
    with pytest.raises(DataError, match="theirs: validation: row 1, 'n101'\n  this is not an image"):
        pack(opened, tmp_path / "out", source="theirs")
    assert not (tmp_path / "out").exists()
    said = pack(opened, tmp_path / "out", source="theirs", on_bad="skip")
    assert {split: record.pairs for split, record in said.splits.items()} == {"train": 10, "val": 2}
    assert torch.equal(Pairs("val", root=tmp_path / "out")[1]["target"], opened("val")[2]["target"])


def test_only_files_of_values_are_read(tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.csv").write_text("source,target\na,b\n")
    with pytest.raises(DataError, match=r"is not stored as Parquet or Arrow files, and no others are read"):
        hub.fetched(str(tmp_path / "rows"), revision=None, config=None, cache=tmp_path / "cache")


def test_a_split_is_named_by_what_it_is_here_and_there():
    assert hub.parse_splits(["val=train[90%:]"]) == {"val": "train[90%:]"}
    with pytest.raises(RecipeError, match="is not like val=validation"):
        hub.parse_splits(["val"])
