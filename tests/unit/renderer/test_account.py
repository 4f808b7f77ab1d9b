import pytest

from cudaforge.renderer.account import find_account, is_user


@pytest.mark.parametrize(
    "text", ["app", "root", "_x", "a-b", "0", "1234", "1234:1234", "app:100", "app:users"]
)
def test_users(text):
    assert is_user(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "App",
        "1a",
        "-x",
        "a b",
        "app\n",
        "app:",
        ":1",
        "a:b:c",
        "4294967295",
        "a" * 33,
        "$USER",
        "a;id",
    ],
)
def test_what_is_no_user(text):
    assert not is_user(text)


@pytest.mark.parametrize("text", ["root", "0", "00", "root:root", "0:0"])
def test_root_needs_no_account(text):
    assert find_account(text) is None


def test_named_account_takes_uid_1000():
    account = find_account("app")
    assert (account.name, account.uid, account.gid, account.owner) == ("app", "1000", "1000", "app:")
    assert account.takes_over
    assert account.renames_group


def test_number_gets_a_name_and_leaves_others_alone():
    account = find_account("1234")
    assert (account.name, account.uid, account.gid, account.owner) == (
        "user1234",
        "1234",
        "1234",
        "1234:1234",
    )
    assert not account.takes_over
    assert not account.renames_group


def test_groups_are_kept_as_declared():
    assert (find_account("01234:5").uid, find_account("01234:5").gid) == ("1234", "5")
    assert find_account("1234:5").owner == "1234:5"
    assert find_account("app:5").owner == "app:5"
    assert not find_account("app:5").renames_group
    assert find_account("app:video").owner == "app:video"
