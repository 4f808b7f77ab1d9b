import pytest

from cudaforge.bootstrap.model import (
    BootstrapPackage,
    BootstrapPlan,
    check_plan,
    check_request,
    oci_architecture,
    plan_key,
)
from cudaforge.errors import InputError
from cudaforge.records import replace

PACKAGE = BootstrapPackage(
    name="libstdc++6",
    version="1:12.2.0-14~deb12u1",
    architecture="amd64",
    filename="pool/main/g/gcc-12/libstdc++6_12.2.0-14_amd64.deb",
    sha256="0" * 64,
    size=1,
)
PLAN = BootstrapPlan(codename="bookworm", architecture="amd64", packages=(PACKAGE,))


def test_a_plan_from_an_archive_is_accepted():
    check_plan(PLAN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"name": "../../etc"},
        {"version": "1;rm"},
        {"filename": "/etc/passwd.deb"},
        {"filename": "pool/../../x.deb"},
        {"filename": "pool/x"},
        {"sha256": "../x"},
        {"architecture": "amd64\n"},
    ],
)
def test_a_plan_edited_by_hand_is_refused(wrong: dict[str, str]):
    with pytest.raises(InputError):
        check_plan(replace(PLAN, packages=(replace(PACKAGE, **wrong),)))


def test_all_mistakes_in_a_request_come_at_once():
    with pytest.raises(InputError) as caught:
        check_request(codename="Book worm", architecture="AMD 64", packages=("ok", "--force", "x;y"))
    assert len(caught.value.problems) == 4


def test_a_request_for_nothing_is_refused():
    with pytest.raises(InputError, match="at least one"):
        check_request(codename="bookworm", architecture="amd64", packages=())


def test_the_key_names_what_the_plan_says():
    assert plan_key(PLAN) == plan_key(replace(PLAN))
    assert plan_key(PLAN) != plan_key(replace(PLAN, codename="trixie"))
    assert plan_key(PLAN) != plan_key(replace(PLAN, packages=(replace(PACKAGE, sha256="1" * 64),)))


@pytest.mark.parametrize(("debian", "oci"), [("amd64", "amd64"), ("arm64", "arm64"), ("ppc64el", "ppc64le")])
def test_oci_architecture(debian: str, oci: str):
    assert oci_architecture(debian) == oci
