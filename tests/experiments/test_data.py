"""Files are found in the mirror or fetched, and refused when their hash differs."""

import functools
import hashlib
import http.server
import subprocess
import threading

import pooch
import pytest

from experiments.data import NEW_ZEALAND, UNITED_KINGDOM, Dataset, locate
from transport.errors import TanhengError

CONTENT = b"carbon\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


seen: list[dict[str, str]] = []


class Handler(http.server.SimpleHTTPRequestHandler):
    """Remembers the headers of each request."""

    def do_GET(self):
        seen.append(dict(self.headers))
        super().do_GET()


@pytest.fixture
def server(tmp_path):
    """An HTTP server on the loopback that holds data.txt."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "data.txt").write_bytes(CONTENT)
    seen.clear()
    handler = functools.partial(Handler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/data.txt"
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("TANHENG_DATA", raising=False)
    return tmp_path / "cache"


def test_download_then_cache(server, cache):
    data = Dataset("set", {"a/data.txt": (server, SHA256)})
    assert data.fetch("a/data.txt").read_bytes() == CONTENT
    gone = Dataset("set", {"a/data.txt": ("http://127.0.0.1:9/none", SHA256)})
    assert gone.fetch("a/data.txt").read_bytes() == CONTENT


def test_headers_reach_the_server(server):
    """A blob comes as bytes only if the request says so."""
    Dataset("set", {"data.txt": (server, SHA256)}, headers=UNITED_KINGDOM.headers).fetch("data.txt")
    assert seen[0]["Accept"] == "application/vnd.github.raw+json"


def test_a_wrong_hash_is_refused_and_not_kept(server, cache):
    data = Dataset("set", {"data.txt": (server, "0" * 64)})
    with pytest.raises(TanhengError, match="wrong SHA-256"):
        data.fetch("data.txt")
    assert not list(cache.rglob("data.txt"))


def test_the_mirror_comes_first_and_is_verified(tmp_path, monkeypatch):
    (tmp_path / "mirror" / "set").mkdir(parents=True)
    (tmp_path / "mirror" / "set" / "data.txt").write_bytes(CONTENT)
    monkeypatch.setenv("TANHENG_DATA", str(tmp_path / "mirror"))
    nowhere = "http://127.0.0.1:9/none"
    assert Dataset("set", {"data.txt": (nowhere, SHA256)}).fetch("data.txt").read_bytes() == CONTENT
    with pytest.raises(TanhengError, match="mirror has the wrong SHA-256"):
        Dataset("set", {"data.txt": (nowhere, "1" * 64)}).fetch("data.txt")


def test_a_missing_file_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("TANHENG_DATA", str(tmp_path))
    with pytest.raises(TanhengError, match="not at hand") as error:
        Dataset("set", {"data.txt": ("http://127.0.0.1:9/none", SHA256)}).fetch("data.txt")
    assert "TANHENG_DATA" in str(error.value.remedy)
    with pytest.raises(TanhengError, match="no such file"):
        Dataset("set", {}).fetch("other.txt")


def test_blob_urls_name_the_files_by_their_git_hash(request, monkeypatch, tmp_path):
    """`git hash-object` of the mirrored file is the id in the URL, and the SHA-256 is the recorded one."""
    import tests.conftest as conftest

    mirror = conftest.ROOT.parent / "shared" / "data"
    if not mirror.is_dir():
        pytest.skip("needs the data mirror beside the checkout")
    for path, (url, sha256) in UNITED_KINGDOM.files.items():
        file = mirror / UNITED_KINGDOM.name / path
        blob = subprocess.run(["git", "hash-object", str(file)], capture_output=True, text=True, check=True).stdout
        assert url.endswith(blob.strip())
        assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256
    for path, (url, sha256) in NEW_ZEALAND.files.items():
        assert "a5cf8d95345a508ea05c0e8fdba516da206ba8a7" in url
        assert hashlib.sha256((mirror / NEW_ZEALAND.name / path).read_bytes()).hexdigest() == sha256


def test_a_file_that_cannot_be_downloaded_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("TANHENG_DATA", str(tmp_path))
    derived = Dataset("here", {"joined.nc": ("", SHA256)})
    with pytest.raises(TanhengError, match="cannot be downloaded"):
        derived.fetch("joined.nc")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "joined.nc").write_bytes(CONTENT)
    assert derived.fetch("joined.nc").read_bytes() == CONTENT


def test_files_are_located_by_name_or_path(monkeypatch, tmp_path):
    monkeypatch.setenv("TANHENG_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.nc").write_bytes(CONTENT)
    for name in ("mine/a.nc", str(tmp_path / "mine" / "a.nc")):
        assert locate(name) == (tmp_path / "mine" / "a.nc", SHA256)
    with pytest.raises(TanhengError, match="a file is not at hand"):
        locate("mine/b.nc")
    # A registered file is verified: another content under its name is refused.
    (tmp_path / "gdas_arl_7day").mkdir()
    (tmp_path / "gdas_arl_7day" / "gdas_042.bin").write_bytes(CONTENT)
    with pytest.raises(TanhengError, match="wrong SHA-256"):
        locate("gdas_arl_7day/gdas_042.bin")
