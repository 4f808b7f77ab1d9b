"""What uv's own words are taken to mean. The texts are as uv 0.13 printed them."""

from pathlib import Path

import pytest

from cudaforge.errors import SurroundingsError
from cudaforge.packages.site import Site
from cudaforge.packages.uv import NoSolution, compile_closure, explain_failure, refuse, uv_binary
from cudaforge.process import Completed

SITE = Site(
    index_url="http://alice:s3cret@127.0.0.1:9/simple",
    named_indexes={"pytorch-cpu": "https://mirror.example/cpu"},
    proxies={"HTTPS_PROXY": "http://proxy.example:3128"},
    registries={},
    ca_bundle=Path("/ca.pem"),
    origins={"index_url": "PIP_INDEX_URL", "HTTPS_PROXY": "https_proxy", "ca_bundle": "CURL_CA_BUNDLE"},
)


def explain(stderr: str):
    error = explain_failure(Completed(argv=("uv",), returncode=2, stdout="", stderr=stderr), SITE)
    assert isinstance(error, SurroundingsError)
    (problem,) = error.problems
    return problem


def test_a_refused_connection_names_host_reason_and_variable():
    problem = explain(
        "error: Failed to fetch: http://127.0.0.1:9/simple/numpy/\n"
        "  cause: error sending request for url (http://127.0.0.1:9/simple/numpy/)\n"
        "  cause: client error (Connect)\n  cause: tcp connect error\n"
        "  cause: Connection refused (os error 111)\n"
    )
    assert problem.what == "the package index at 127.0.0.1:9 cannot be reached"
    assert problem.because == ("Connection refused (os error 111)", "it comes from PIP_INDEX_URL")


def test_an_unknown_certificate_names_the_bundle_s_variable():
    problem = explain(
        "error: Failed to fetch: https://index.example/simple/numpy/\n"
        "  cause: error sending request for url (https://index.example/simple/numpy/)\n"
        "  cause: invalid peer certificate: UnknownIssuer\n\n"
        "hint: Consider enabling use of system TLS certificates\n"
    )
    assert problem.because[0] == "invalid peer certificate: UnknownIssuer"
    assert "SSL_CERT_FILE" in problem.remedy
    assert "CURL_CA_BUNDLE" in problem.remedy


def test_a_proxy_in_between_is_named():
    problem = explain(
        "error: Request failed after 3 retries in 11.7s\n  cause: Failed to fetch: https://mirror.example/cpu/torch/\n"
        "  cause: tunnel error: failed to create underlying connection\n  cause: dns error\n"
    )
    assert "network.indexes.pytorch-cpu" in problem.because[1]
    assert problem.remedy == "check https_proxy (proxy.example:3128), the proxy that is used"


def test_a_directory_that_is_not_there_is_told_in_uv_s_words():
    problem = explain(
        "error: Failed to read `--find-links` directory: /nowhere\n"
        "  cause: No such file or directory (os error 2)\n"
    )
    assert problem.because == (
        "Failed to read `--find-links` directory: /nowhere",
        "No such file or directory (os error 2)",
    )


def test_silence_is_told_with_the_exit_status():
    assert explain("").what == "uv could not answer"


@pytest.mark.parametrize(
    ("line", "package", "answer"),
    [
        ("Because there is no version of torch==2.13.0+cu126 and ...", "torch", True),
        ("Because torch was not found in the package registry and ...", "torch", True),
        ("Because torch==2.13.0 has no usable wheels and ...", "torch", True),
        ("Because torch==2.13.0 has no wheels with a matching Python ABI tag", "torch", True),
        ("Because there is no version of torchvision==0.28.0+cpu and ...", "torch", False),
        ("Because torch==2.13.0 depends on numpy and there is no version of numpy>9", "torch", False),
    ],
)
def test_whether_an_explanation_is_about_a_missing_version(line, package, answer):
    assert NoSolution(explanation=(line,), hints="").names(package) is answer


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (
            "Because all versions of docopt have no usable wheels and the image needs docopt",
            "docopt has no wheel",
        ),
        ("Because docopt==0.6.2 has no usable wheels and ...", "docopt 0.6.2 has no wheel"),
        ("numpy>=1.10.4,<=1.19.5 have no usable wheels and only the following", "no set of packages fits"),
    ],
)
def test_only_what_is_asked_for_is_said_to_have_no_wheel(line, named):
    error = refuse("train", NoSolution(explanation=(line,), hints=""), target="Python 3.11")
    assert named in error.problems[0].what


def test_another_platform_s_images_are_refused():
    with pytest.raises(SurroundingsError, match="linux/s390x cannot be built on this machine"):
        uv_binary("linux/s390x")


def test_uv_is_asked_for_unbroken_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At 80 columns, it breaks its sentences, and the second half of one would read as another cause."""
    seen: dict[str, str] = {}

    def run(argv: object, *, env: dict[str, str], **_: object) -> Completed:
        seen.update(env)
        return Completed(argv=("uv",), returncode=0, stdout="", stderr="")

    monkeypatch.setattr("cudaforge.packages.uv.run", run)
    compile_closure([], site=SITE, directory=tmp_path)
    assert int(seen["COLUMNS"]) > 1000
