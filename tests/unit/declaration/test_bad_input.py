"""The bad inputs that a declaration must survive: one clear problem each, with line, key and a way out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cudaforge.declaration import load_declaration
from cudaforge.errors import InputError
from tests.unit.declaration.support import IMAGE, load, only, places, problems, problems_of, write

COMMIT = "0123456789" * 4

# Text after the image's own two lines, so that its first line is line 3; key below images.a; what; remedy.
VALUES = [
    (
        'env = { A = "x\\ny" }',
        "env.A",
        "U+000A (a control character) at position 2",
        "take the character out",
    ),
    ('labels = { a = """x\ny""" }', "labels.a", "U+000A", "take"),
    ('apt = ["git\\n"]', "apt[0]", "U+000A", "take"),
    ('base = "python:3\\r"', "base", "U+000D", "take"),
    ('apt = ["; rm -rf /"]', "apt[0]", "'; rm -rf /' is not allowed", 'such as "git"'),
    ('apt = ["$(id)"]', "apt[0]", "'$(id)' is not allowed", "OS package"),
    ('apt = ["-y"]', "apt[0]", "'-y' is not allowed", "OS package"),
    ('apt = ["git=1; x"]', "apt[0]", "is not allowed", "OS package"),
    ('os_snapshot = "yesterday"', "os_snapshot", "'yesterday' is no day", '"2026-06-01"'),
    ('os_snapshot = "2026-02-32"', "os_snapshot", "'2026-02-32' is no day", '"2026-06-01"'),
    ('os_snapshot = "20260601"', "os_snapshot", "'20260601' is no day", '"2026-06-01"'),
    ("os_snapshot = 2026-06-01", "os_snapshot", "a date or time where a string", '"2026-06-01"'),
    ("os_snapshot = 1", "os_snapshot", "a number where a string", '"1"'),
    ('packages = ["a && b"]', "packages[0]", "'a && b' is no package", "PEP 508"),
    ('packages = ["--index-url=evil"]', "packages[0]", "is an option", "[network]"),
    ('packages = ["x @ https://h/x.whl"]', "packages[0]", "from an address are not supported", "./wheels"),
    ('env = { A = "\\u0000" }', "env.A", "U+0000", "take"),
    ('env = { A = "\\f" }', "env.A", "U+000C", "take"),
    ('env = { A = "\\u0085" }', "env.A", "U+0085", "take"),
    ('env = { A = "\\u2028" }', "env.A", "U+2028", "take"),
    ('os = "ubuntu\\u202e22"', "os", "U+202E", "take"),
    ('os = "ubuntu\\u200b22"', "os", "U+200B", "take"),
    ('"o\\u200bs" = "x"', '"o\\u200Bs"', "unknown key 'o\\u200Bs'", "did you mean 'os'"),
    ('cudn = "9"', "cudn", "unknown key 'cudn'", "did you mean 'cudnn'?"),
    ('zebra = "9"', "zebra", "unknown key 'zebra'", "known: framework, build, cuda"),
    (
        'prefer = { cuda = "stable", nosuch = "newest" }',
        "prefer.nosuch",
        "'nosuch' is not known",
        "framework",
    ),
    ('prefer = { cuda = "best" }', "prefer.cuda", "'best' is not known here", "newest"),
    ("cuda = 12.10", "cuda", "a number where a string", 'write it as a string: "12.10"'),
    ("cuda = 12.0", "cuda", "a number where a string", '"12.0"'),
    ("cuda = 12", "cuda", "a number where a string", '"12"'),
    ("python = 3.10", "python", "a number where a string", '"3.10"'),
    ("driver = 2024-01-01", "driver", "a date or time where a string", '"2024-01-01"'),
    ("cudnn = true", "cudnn", "a boolean where a string", None),
    ("cudnn = nan", "cudnn", "a number where a string", '"nan"'),
    ("cudnn = -inf", "cudnn", "a number where a string", '"-inf"'),
    ("cuda = { a = 1 }", "cuda", "a table where a string", None),
    ('cuda = "twelve"', "cuda", "'twelve' is no version wish", "12.8"),
    ('cuda = ""', "cuda", "empty", "leave the key out"),
    ('driver = ">=570"', "driver", "'>=570' is not a version", "570.86"),
    ('gpus = "H100"', "gpus", "a string where a list", '["H100", "sm_90"]'),
    ('gpus = ["H100", "H100"]', "gpus[1]", "same value as number 1", None),
    ('gpus = ["H100", 90]', "gpus[1]", "a number where a string", '"90"'),
    ('flavor = "develop"', "flavor", "'develop' is not known here", "did you mean 'devel'?"),
    ('os = "Ubuntu 22.04"', "os", "'Ubuntu 22.04' is not allowed", "ubuntu22.04"),
    ('base = "Python:3"', "base", "the repository must be lower case", "python:3.12"),
    ('base = "python@sha256:12"', "base", "a digest is 'sha256:'", "python"),
    ('base = ":latest"', "base", "no image reference", "python"),
    ('base = "a b"', "base", "no image reference", "python"),
    ('base = "https://ghcr.io/a"', "base", "no image reference", "python"),
    ('base = "bootstrap:Debian 12"', "base", "no image reference", "bootstrap:debian12"),
    ('copy = [{ from = "/etc/passwd", to = "/a" }]', "copy[0].from", "is not a relative path", "inside it"),
    ('copy = [{ from = "../x", to = "/a" }]', "copy[0].from", "leaves the project directory", "inside"),
    ('copy = [{ from = "a/../../x", to = "/a" }]', "copy[0].from", "leaves the project directory", "inside"),
    (
        'copy = [{ from = "nothing", to = "/a" }]',
        "copy[0].from",
        "there is no 'nothing'",
        "leave the entry out",
    ),
    ('copy = [{ from = "*.none", to = "/a" }]', "copy[0].from", "'*.none' matches no file", "name a file"),
    ('copy = [{ from = "*.toml", to = "/a" }]', "copy[0].from", "not supported yet", "name the directory"),
    ('copy = [{ from = "-x", to = "/a" }]', "copy[0].from", "starts with '-'", "inside it"),
    ('copy = [{ from = ".", to = "app" }]', "copy[0].to", "'app' is no absolute path", "/app"),
    ('copy = [{ from = ".", to = "/a/../.." }]', "copy[0].to", "goes up with '..'", "/app"),
    ('copy = [{ from = ".", too = "/a" }]', "copy[0].too", "unknown key 'too'", "did you mean 'to'?"),
    ('copy = { from = ".", to = "/a" }', "copy", "a table where a list", "[{"),
    ('requirements = "missing.txt"', "requirements", "there is no 'missing.txt'", "make it"),
    ('requirements = "/etc/r.txt"', "requirements", "is not a relative path", "project"),
    ('requirements = { path = "." }', "requirements", "has no pyproject.toml", "directory"),
    ('requirements = { pth = "." }', "requirements", "unknown key 'pth'", "did you mean 'path'"),
    ('requirements = { extras = ["x"] }', "requirements", "'path' is missing", "path"),
    ("requirements = 1", "requirements", "a number where a path or a table", "path"),
    ('packages = ["./x.whl"]', "packages", "there is no 'x.whl'", "make it"),
    ('packages = ["x @ ../x.whl"]', "packages", "leaves the project", "inside"),
    ('packages = ["x @ git+https://h/x.git@main"]', "packages[0]", "names no commit", "40 digits"),
    ('packages = ["x @ git+https://h/x.git"]', "packages[0]", "names no commit", "40 digits"),
    ('packages = ["x @ git+https://h/x.git@0123456789ab"]', "packages[0]", "names no commit", "ls-remote"),
    (f'packages = ["x @ git+https://u:p@h/x@{COMMIT}"]', "packages[0]", "user name or password", "netrc"),
    (f'packages = ["x @ git+https://tok@h/x@{COMMIT}"]', "packages[0]", "user name or password", "netrc"),
    (f'packages = ["x @ git+https://$T@h/x@{COMMIT}"]', "packages[0]", "no address of a repo", "COMMIT"),
    (f'packages = ["x @ git+http://h/x@{COMMIT}"]', "packages[0]", "is fetched by https", "git+https"),
    (f'packages = ["x @ git+http://127.0.0.1.h/x@{COMMIT}"]', "packages[0]", "by https", "git+https"),
    (f'packages = ["x @ git+file:///x@{COMMIT}"]', "packages[0]", "is fetched by https", "git+https"),
    (f'packages = ["x @ git+ext::sh@{COMMIT}"]', "packages[0]", "is fetched by https", "git+https"),
    (f'packages = ["x @ git+ssh://git@h/x@{COMMIT}"]', "packages[0]", "ssh are not supported", "https"),
    (f'packages = ["x @ git+https://-h/x@{COMMIT}"]', "packages[0]", "no address of a repo", "COMMIT"),
    (f'packages = ["x @ git+https://h/--upload-pack=x@{COMMIT}"]', "packages[0]", "no address", "COMMIT"),
    (f'packages = ["x @ git+https://h/a/../x@{COMMIT}"]', "packages[0]", "no address of a repo", "COMMIT"),
    (f'packages = ["x @ git+https://h/x?a=b@{COMMIT}"]', "packages[0]", "has a character", "COMMIT"),
    (f'packages = ["x @ git+https://h/x@{COMMIT}#egg=x"]', "packages[0]", "is not understood", "subdir"),
    (
        f'packages = ["x @ git+https://h/x@{COMMIT}#subdirectory=../y"]',
        "packages[0]",
        "is not understood",
        "subdirectory=",
    ),
    (f'packages = ["x @ git+https://h/x@{COMMIT}\\n-y"]', "packages[0]", "U+000A", "take"),
    ('build_from_source = ["x==1"]', "build_from_source[0]", "is not allowed here", "no version"),
    ('build_from_source = ["--all"]', "build_from_source[0]", "is not allowed here", "no version"),
    ('build_from_source = "x"', "build_from_source", "a list is expected", "for example"),
    ('packages = ["https://h/x.whl"]', "packages[0]", "an address without a name", "name @"),
    ('env = { HF_TOKEN = "hunter2" }', "env.HF_TOKEN", "the value is a secret", "`secrets`"),
    ('env = { AWS_SECRET_ACCESS_KEY = "hunter2" }', "env.AWS_SECRET_ACCESS_KEY", "is a secret", "secrets"),
    ('env = { DB_PASSWORD_MAIN = "hunter2" }', "env.DB_PASSWORD_MAIN", "is a secret", "secrets"),
    ('env = { CLIENT_SECRET = "hunter2" }', "env.CLIENT_SECRET", "is a secret", "secrets"),
    ('env = { URL = "https://me:hunter2@h/" }', "env.URL", "user name or password", "secrets"),
    (
        'env = { URL = { value = "https://me:hunter2@h/", override = true } }',
        "env.URL",
        "password",
        "secrets",
    ),
    ('labels = { u = "https://me:hunter2@h/" }', "labels.u", "user name or password", "secrets"),
    ('run = ["curl https://me:hunter2@h/"]', "run[0]", "user name or password", "secrets"),
    ('env = { PATH = "/x" }', "env.PATH", "PATH is reserved: it leads to", "override = true"),
    ('env = { LD_LIBRARY_PATH = "/x" }', "env.LD_LIBRARY_PATH", "another CUDA", "override = true"),
    ('env = { NVIDIA_VISIBLE_DEVICES = "0" }', "env.NVIDIA_VISIBLE_DEVICES", "container runtime", "override"),
    ('env = { CUDA_VISIBLE_DEVICES = "0" }', "env.CUDA_VISIBLE_DEVICES", "which GPUs", "override"),
    ('env = { "A=B" = "x" }', 'env."A=B"', "'A=B' is not allowed", "letters"),
    ('env = { 1A = "x" }', "env.1A", "'1A' is not allowed", "digit"),
    ('env = { "" = "x" }', 'env.""', "empty", None),
    ('env = { "a b" = "x" }', 'env."a b"', "is not allowed", "letters"),
    ("env = { A = 1 }", "env.A", "a number where a string", '"1"'),
    ('env = { A = { val = "x" } }', "env.A", "other keys than", "override = true"),
    ('user = "Root User"', "user", "is not allowed", "app"),
    ('user = "1000:"', "user", "is not allowed", "1000:1000"),
    ('workdir = "app"', "workdir", "no absolute path", "/app"),
    ('tags = [":latest@"]', "tags[0]", "is not allowed", "1 to 128"),
    ('tags = [".x"]', "tags[0]", "is not allowed", "1 to 128"),
    (f'tags = ["{"x" * 129}"]', "tags[0]", "longer than 128", "1 to 128"),
    ('labels = { "a b" = "x" }', 'labels."a b"', "is not allowed", "letters"),
    ('labels = { "cudaforge.x" = "x" }', 'labels."cudaforge.x"', "is not allowed", "written by cudaforge"),
    ('command = "python main.py"', "command", "a string where a list", '["python", "main.py"]'),
    ('secrets = ["cudaforge-site"]', "secrets[0]", "is not allowed", "taken"),
    ('max_size = "8"', "max_size", "'8' is no size", "8GiB"),
    ('verify = { timeout = "5" }', "verify.timeout", "is no duration", "5m"),
    ('verify = { timeout = "0s" }', "verify.timeout", "out of bounds", "at most a week"),
    ("verify = { steps = 0 }", "verify.steps", "out of bounds", "1 to"),
    ('verify = { steps = "1" }', "verify.steps", "a string where a whole number", "1 to"),
    ('verify = { gpus = "auto" }', "verify.gpus", "unknown key 'gpus'", "did you mean 'gpu'?"),
    ('platforms = ["linux/amd64", "linux/amd64"]', "platforms[1]", "the same value as number 1", None),
    ('platforms = ["windows/amd64"]', "platforms[0]", "not supported yet", "linux/amd64"),
    ("platforms = []", "platforms", "the list is empty", "linux/amd64"),
    ('python_provider = "conda"', "python_provider", "not known here", "standalone"),
    ('template = "x.j2"', "template", "not supported yet", "leave"),
    ("ssh = true", "ssh", "not supported yet", "leave"),
    ('prefer = { cudaa = "stable" }', "prefer.cudaa", "'cudaa' is not known here", "did you mean 'cuda'"),
    (
        'prefer = { toolkit = "stable" }',
        "prefer.toolkit",
        "'toolkit' is not known here",
        "allowed: framework",
    ),
    ('python = "3.13t"', "python", "free-threaded Python is not supported yet", "leave the"),
    ('python = ">=3.12,<3.14t"', "python", "free-threaded Python is not supported yet", "leave the"),
]


@pytest.mark.parametrize(("text", "key", "what", "remedy"), VALUES, ids=[row[0][:40] for row in VALUES])
def test_bad_value(tmp_path: Path, text: str, key: str | None, what: str, remedy: str | None) -> None:
    problem = only(problems(tmp_path, IMAGE + text + "\n"))
    assert what in problem.what or any(what in str(part) for part in (problem.remedy,))
    assert problem.where is not None
    assert problem.where.file == str(tmp_path / "cudaforge.toml")
    assert problem.where.line == 3
    if key is not None:
        assert problem.where.key == f"images.a.{key}"
    if remedy is not None:
        assert remedy in (problem.remedy or "")
    assert "hunter2" not in f"{problem}"


FRAMEWORKS = [
    ('"pytorch[cuda]"', "takes no extra"),
    ("\"pytorch; python_version > '3'\"", "takes no marker"),
    ('"pytorch @ https://x/y"', "takes no address"),
    ('"pytorch=2.8"', "asked for with =="),
    ('"pytorch>=two"', "no version wish"),
    ('"-pytorch"', "is no framework"),
    ("[]", "the list is empty"),
    ('["pytorch", "PyTorch>=2"]', "is there twice"),
    ("1", "a number where a framework"),
    ('["a", 2.10]', "a number where a string"),
]


@pytest.mark.parametrize(("value", "what"), FRAMEWORKS)
def test_bad_framework(tmp_path: Path, value: str, what: str) -> None:
    problem = only(problems(tmp_path, f"[images.a]\nframework = {value}\n"))
    assert what in problem.what
    assert problem.where is not None
    assert problem.where.line == 2


WHOLE_FILES = [
    (b"", "has no images", "images.train"),
    (b"schema = 1\n", "has no images", "images.train"),
    (b"[images]\n", "has no images", "images.train"),
    (b"[image.x]\n", "unknown key 'image'", "did you mean 'images'?"),
    (b"[images.x]\n", "image 'x' names no framework", "pytorch"),
    (b"images = 1\n", "a number where a table", None),
    (b"images = [1]\n", "a list where a table", None),
    (b"[images]\nx = 1\n", "a number where a table", None),
    (b"schema = 2\n" + IMAGE.encode(), "written for a newer cudaforge", "upgrade"),
    (b"schema = 0\n" + IMAGE.encode(), "there is no such schema", "schema = 1"),
    (b'schema = "1"\n' + IMAGE.encode(), "the schema is a number", "schema = 1"),
    (b"[fleet]\n" + IMAGE.encode(), "the fleet names no machine", "gpus"),
    (b"[fleet]\ngpus = []\n" + IMAGE.encode(), "unknown key 'gpus'", "nodes, dumps"),
    (b"[fleet]\nnodes = []\n" + IMAGE.encode(), "a list where a table is expected", "nodes.a100"),
    (b"[fleet.nodes.a]\ndriver = '535'\n" + IMAGE.encode(), "node 'a' names no GPU", "gpus = "),
    (b"[fleet.nodes.a]\ngpus = []\n" + IMAGE.encode(), "node 'a' names no GPU", "gpus = "),
    (b"[fleet.nodes.'a b']\ngpus = ['H100']\n" + IMAGE.encode(), "'a b' is not allowed here", "letters"),
    (b"[fleet.nodes.a]\ngpus = ['H100']\ncount = 0\n" + IMAGE.encode(), "out of bounds", "1 to"),
    (b"[fleet.nodes.a]\ngpus = ['H100']\ndriver = 535.1\n" + IMAGE.encode(), "a number", '"535.1"'),
    (b"[fleet]\ndumps = ['../x.xml']\n" + IMAGE.encode(), "leaves the project", "inside"),
    (IMAGE.encode("utf-16"), "UTF-16", "UTF-8"),
    (b"a = 1\n\xff\n", "wrong byte at offset 6", "UTF-8"),
    (b"\xef\xbb\xbfab\xff", "wrong byte at offset 5", "UTF-8"),
    (b"\x7fELF\0\0", "binary: a NUL byte at offset 4", None),
    (b"# \xe2\x80\xae\n" + IMAGE.encode(), "U+202E", "take the character out"),
    (b"# \x0c\n" + IMAGE.encode(), "U+000C", "take the character out"),
    (b"a = 1\rb = 2\n", "U+000D", "take the character out"),
    (b"a = \n", "not valid TOML", "toml.io"),
    (b"a = 1\na = 2\n", "written twice", "keep one"),
    (b"[a]\n[a]\n", "written twice", "keep one"),
    (b'a = """x', "not valid TOML", "toml.io"),
    (b"<<<<<<< ours\n", "not valid TOML", "toml.io"),
    (b"x = " + b"[" * 1000 + b"]" * 1000, "nested more than 32 deep", None),
    (b"x = " + b"{a=" * 1000 + b"1" + b"}" * 1000, "nested more than 32 deep", None),
    (b"a." * 20_000 + b"b = 1", "a key of too many parts", None),
    (b"[" + b"a." * 20_000 + b"b]", "a key of too many parts", None),
    (b'"a".' * 20_000 + b"b = 1", "a key of too many parts", None),
    (b"[images.A]\nframework='x'\n[images.a]\nframework='x'\n", "the name 'A'", "lower-case"),
    (b"[images.con]\nframework='x'\n", "device on Windows", "another name"),
    (b"[images.'nul.x']\nframework='x'\n", "device on Windows", "another name"),
    (b"[images.'-a']\nframework='x'\n", "'-a' is not allowed", "lower-case"),
    (b"[images.'a..b']\nframework='x'\n", "is not allowed", "lower-case"),
    (b"[images." + b"a" * 101 + b"]\nframework='x'\n", "longer than 100", "lower-case"),
    (b"[project]\nname='Up Per'\n" + IMAGE.encode(), "'Up Per' is not allowed", "lower-case"),
    (b"[project]\nregistry='https://x'\n" + IMAGE.encode(), "has a scheme", "host and path"),
    (b"[project]\nregistry='me:hunter2@x'\n" + IMAGE.encode(), "user name or password", "docker login"),
    (b"[registries]\n'docker.io'='http://x'\n" + IMAGE.encode(), "has a scheme", "host and path"),
    (b"[registries]\n'docker.io'='x y'\n" + IMAGE.encode(), "is no registry", "localhost:5000"),
    (b"[network]\nindex='https://me:hunter2@x/'\n" + IMAGE.encode(), "user name or password", "environment"),
    (b"[network]\nindex='ftp://x/'\n" + IMAGE.encode(), "is no address", "https://"),
    (
        b"[network]\nos_snapshots.debian='http://x/?a=1'\n" + IMAGE.encode(),
        "no line of apt",
        "without a query",
    ),
    (b"[network]\nhttps_proxy='notaurl'\n" + IMAGE.encode(), "is no address", "http://"),
    (b"[network]\nca_bundle='missing.pem'\n" + IMAGE.encode(), "there is no file 'missing.pem'", "PEM"),
    (b"[matrices]\noverlays=['missing.toml']\n" + IMAGE.encode(), "there is no 'missing.toml'", "make it"),
    (b"[defaults.matrix]\npython=['3.11']\n" + IMAGE.encode(), "unknown key 'matrix'", None),
]


@pytest.mark.parametrize(
    ("data", "what", "remedy"), WHOLE_FILES, ids=[str(row[0][:30]) for row in WHOLE_FILES]
)
def test_bad_file(tmp_path: Path, data: bytes, what: str, remedy: str | None) -> None:
    started = time.process_time()
    problem = only(problems(tmp_path, data))
    assert time.process_time() - started < 0.2
    assert what in problem.what
    assert remedy is None or remedy in (problem.remedy or "")
    assert problem.where is not None
    assert "hunter2" not in f"{problem}"


def test_giant_number_is_refused(tmp_path: Path) -> None:
    # Python 3.10 reads it, newer Pythons refuse to: both must end in a problem.
    problem = only(problems(tmp_path, IMAGE + "cuda = " + "9" * 5000))
    assert "digits" in problem.what or "number" in problem.what
    assert len(problem.what) + len(problem.remedy or "") < 300


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        'schema = 9\n[images.a]\nframework = "x"\ncudn = "9"\nos = 1\napt = [";", "ok", "-x"]\n'
        "[images.b]\n[images.c]\nframework = 'x'\ncopy = [{ from = 'no', to = '/a' }, { from = '/etc' }]\n"
        "[network]\nindex = 'x'\n",
    )
    assert places(found) == [
        (1, "schema"),
        (4, "images.a.cudn"),
        (5, "images.a.os"),
        (6, "images.a.apt[0]"),
        (6, "images.a.apt[2]"),
        (7, "images.b"),
        (10, "images.c.copy[1].from"),
        (10, "images.c.copy[1]"),
        (10, "images.c.copy"),
        (12, "network.index"),
    ]


def test_large_file_is_refused_before_parsing(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in only(problems(tmp_path, b"#" * 10_000_000)).what


def test_devices_pipes_and_directories_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "is a pipe" in only(problems_of(pipe)).what
    assert only(problems_of(pipe)).remedy == "write it into a file, and name that"
    assert only(problems_of(tmp_path)).remedy == "name a file"
    assert "is a directory" in only(problems_of(tmp_path)).what
    assert "is a device" in only(problems_of(Path("/dev/zero"))).what
    assert "there is no" in only(problems_of(tmp_path / "none.toml")).what


def test_bom_and_crlf_are_accepted(tmp_path: Path) -> None:
    loaded = load(tmp_path, b"\xef\xbb\xbf" + IMAGE.replace("\n", "\r\n").encode())
    assert [image.name for image in loaded.images] == ["a"]
    assert loaded.digest == load(tmp_path, IMAGE).digest


def test_path_that_is_not_utf8(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    root.mkdir()
    problem = only(problems(root, IMAGE + "cuda = 12.10\n"))
    assert problem.where is not None
    assert problem.where.file.endswith("/\\xff/cudaforge.toml")
    problem.where.file.encode("utf-8")
    assert load(root, IMAGE).root == root


def test_deleted_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(InputError, match="does not exist any more"):
        load_declaration(Path("cudaforge.toml"))


def test_links_out_of_the_project_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "outside.txt").write_text("x")
    (root / "shadow").symlink_to("/etc/passwd")
    (root / "up").symlink_to(tmp_path)
    (root / "r.txt").symlink_to(tmp_path / "outside.txt")
    for source in ("shadow", "up", "up/outside.txt"):
        problem = only(problems(root, IMAGE + f'copy = [{{ from = "{source}", to = "/a" }}]'))
        assert "leaves the project" in problem.what
    assert "leaves the project" in only(problems(root, IMAGE + 'requirements = "r.txt"')).what


def test_clashes_name_both(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "[images.a-b]\nframework='x'\n[images.'a.b']\nframework='x'\n"
        "[images.c]\nframework='x'\ntags=['latest']\n[images.d]\nframework='x'\ntags=['latest']\n"
        "[images.e]\nframework='x'\ntags=['c']\n",
    )
    assert [problem.what for problem in found] == [
        "the names 'a-b' and 'a.b' are too much alike",
        "images 'c' and 'd' would both be tagged 'latest'",
        "images 'c' and 'e' would both be tagged 'c'",
    ]
    assert [line for line, _ in places(found)] == [3, 10, 13]


def test_nothing_is_written(tmp_path: Path) -> None:
    path = write(tmp_path, IMAGE + "cuda = 12.10\n")
    problems_of(path)
    assert list(tmp_path.iterdir()) == [path]
