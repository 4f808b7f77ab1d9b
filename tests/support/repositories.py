"""Git repositories on loopback, served by git's own program, and source archives made on the spot."""

import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BACKEND = '''\
"""A build back end that needs nothing: one module, named after the project."""

import base64, hashlib, os, zipfile

NAME, VERSION = {name!r}, {version!r}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    module, info = NAME.replace("-", "_"), NAME.replace("-", "_") + "-" + VERSION + ".dist-info"
    files = {{
        module + ".py": open(module + ".py").read(),
        info + "/METADATA": "Metadata-Version: 2.2\\nName: " + NAME + "\\nVersion: " + VERSION + "\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += path + ",sha256=" + digest + "," + str(len(text.encode())) + "\\n"
    files[info + "/RECORD"] = record + info + "/RECORD,,\\n"
    name = module + "-" + VERSION + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name
'''


def source_files(name: str, version: str, *, body: str = "", is_dynamic: bool = False) -> dict[str, str]:
    """The files of a project that builds with itself. `is_dynamic`: what it needs only its code knows."""
    what = 'dynamic = ["dependencies"]' if is_dynamic else "dependencies = []"
    return {
        "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n{what}\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(name=name, version=version),
        f"{name.replace('-', '_')}.py": f"version = {version!r}\n{body}",
    }


def make_sdist(directory: Path, name: str, version: str, **settings: object) -> Path:
    """A source archive (PEP 625) of such a project."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        **source_files(name, version, **settings),
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n",
    }
    path = directory / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{stem}/{file}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def commit(repository: Path, files: Mapping[str, str]) -> str:
    """Put the files into the repository as one more commit, which is given back."""
    for file, text in files.items():
        (repository / file).parent.mkdir(parents=True, exist_ok=True)
        (repository / file).write_text(text)
    author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (("init", "--quiet"), ("add", "--all"), (*author, "commit", "--quiet", "--message=x")):
        subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True, timeout=60)
    head = ["git", "rev-parse", "HEAD"]
    return subprocess.run(head, cwd=repository, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def serve_repositories(root: Path) -> Iterator[str]:
    """The address of a server of the repositories below `root` while the block runs: git's `http-backend`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            variables = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=variables, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
