"""Many names in one command: from words, a list, a folder. One that is bad stops no other, and is told."""

import os

import pytest

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.stopwatch import Stopwatch

NAMES = [f"n{number}.lab.test" for number in range(100)]
FEW = NAMES[:3]


def put(box: Box, names: list[str]) -> None:
    for name in names:
        box.put_csr(name, csr([name]))


def enabled(box: Box) -> dict[str, str]:
    return {str(name): str(flag) for name, flag in box.database.query("SELECT name, enable FROM certs")}


def test_enrolled_and_enabled_in_one_step(lone_box: Box) -> None:
    """It says that the next run issues it; for a name that is there the option means nothing, so it is refused."""
    said = lone_box.ok("populate", FEW[0], "--csr", "-", "--enable", stdin=csr([FEW[0]])).out
    assert "it is enabled: the next run issues it, if its sub-zone is in place" in said
    assert enabled(lone_box) == {FEW[0]: "Y"}
    words = ["populate", "--replace", FEW[0], "--csr", "-", "--enable"]
    lone_box.refused(*words, code=2, says=["--enable are for a name that is new"], stdin=csr([FEW[0]]))


def test_a_hundred_in_seconds(lone_box: Box) -> None:
    """Enrolled from a folder, enabled from a list."""
    put(lone_box, NAMES)
    watch = Stopwatch()
    lone_box.ok("populate", "--csr", str(lone_box.csr_dir))
    lone_box.ok("enable", "-", stdin="\n".join(NAMES).encode())
    assert watch.seconds() < 10
    assert enabled(lone_box) == dict.fromkeys(NAMES, "Y")


def test_a_folder_tells_what_it_holds_besides(lone_box: Box) -> None:
    """The ending counts in any case of letters; of other files it says that they are passed over."""
    put(lone_box, FEW)
    (lone_box.csr_dir / f"{FEW[0]}.csr").rename(lone_box.csr_dir / f"{FEW[0]}.CSR")
    (lone_box.csr_dir / f"{FEW[1]}.csr").rename(lone_box.csr_dir / f"{FEW[1]}.pem")
    (lone_box.csr_dir / "old").mkdir()
    done = lone_box.ok("populate", "--csr", str(lone_box.csr_dir))
    assert sorted(enabled(lone_box)) == [FEW[0], FEW[2]]
    assert done.err == f"passed over, as a CSR is called NAME.csr: {FEW[1]}.pem\n"


def test_a_bad_one_among_them(lone_box: Box) -> None:
    """Each command tells it and does the others; the exit code is 1."""
    put(lone_box, FEW)
    lone_box.put_csr(FEW[1], b"no CSR")
    done = lone_box.run("populate", *FEW)
    assert (done.code, sorted(enabled(lone_box))) == (1, [FEW[0], FEW[2]])
    assert f"{FEW[1]}.csr is refused" in done.err
    assert "2 of 3 are done" in done.out
    for word, flag in (("enable", "Y"), ("disable", "N")):
        done = lone_box.run(word, *FEW)
        assert done.code == 1
        assert f"not enrolled: {FEW[1]}" in done.err
        assert enabled(lone_box) == {FEW[0]: flag, FEW[2]: flag}
    done = lone_box.run("remove", *FEW, "--yes")
    assert (done.code, enabled(lone_box)) == (1, {})
    assert f"not enrolled: {FEW[1]}" in done.err


def test_a_list_with_blanks_and_comments(lone_box: Box) -> None:
    """Names stand one a line; the same name counts once."""
    put(lone_box, FEW)
    listed = f"# ours\r\n\n  {FEW[0]} \n{FEW[1]}\r\n{FEW[0]}\n".encode()
    said = lone_box.ok("populate", "-", FEW[2], stdin=listed).out
    assert [line for line in said.splitlines() if "enrolled" in line] == [
        line for line in said.splitlines() if line.startswith(tuple(FEW))
    ]
    assert sorted(enabled(lone_box)) == FEW


def test_names_in_a_folder_of_their_own(lone_box: Box) -> None:
    """--csr names the folder, NAME the files in it; with --replace too."""
    put(lone_box, FEW)
    lone_box.ok("populate", *FEW[:2], "--csr", str(lone_box.csr_dir))
    assert sorted(enabled(lone_box)) == FEW[:2]
    for name in FEW[:2]:
        lone_box.put_csr(name, csr([name, f"added.{name}"]))
    lone_box.ok("populate", "--append", *FEW[:2], "--csr", str(lone_box.csr_dir))


@pytest.mark.parametrize(
    ("words", "stdin", "says"),
    [
        (["populate"], b"", "no NAME is given"),
        (["populate", "--csr", "gone"], b"", "there is no folder gone"),
        (["populate", "--csr", "docs"], b"", "no file in docs is called NAME.csr"),
        (["populate", "-"], b"# nothing\n", "has no names"),
        (["enable", "-"], b"\xff\xfe\n", "not UTF-8"),
        (["populate", "-", "--csr", "-"], b"", "standard input cannot be both"),
        (["populate", *FEW, "--csr", "some.csr"], b"", "one CSR is for one NAME"),
    ],
)
def test_what_cannot_be_meant(lone_box: Box, words: list[str], stdin: bytes, says: str) -> None:
    """Told as wrong usage; nothing is changed."""
    lone_box.refused(*words, code=2, says=[says], stdin=stdin)
    assert enabled(lone_box) == {}


@pytest.mark.parametrize("words", [["populate"], ["populate", "--replace"], ["populate", "--append"]])
def test_odd_files_among_them(lone_box: Box, words: list[str]) -> None:
    """What an editor or another system hides there is no CSR; a name that is not UTF-8 is told."""
    put(lone_box, FEW[:1])
    if len(words) > 1:
        lone_box.ok("populate", *FEW[:1])
    lone_box.csr_dir.joinpath(f"._{FEW[0]}.csr").write_bytes(b"of macOS")
    (lone_box.csr_dir / os.fsdecode(b"n\xe9.csr")).write_bytes(b"in Latin-1")
    done = lone_box.run(*words, "--csr", str(lone_box.csr_dir))
    assert done.code == 1
    assert "1 of 2 are done" in done.out
    assert "'n\ufffd' is not in ASCII" in done.err


def test_a_name_in_capitals_in_the_table_is_suggested(lone_box: Box) -> None:
    """A classic script wrote it so."""
    lone_box.ok("populate", FEW[0], "--csr", "-", stdin=csr(FEW[:1]))
    lone_box.database.execute("UPDATE certs SET name = 'N0.Lab.TEST'")
    lone_box.refused("status", FEW[0], code=2, says=["did you mean N0.Lab.TEST?"])


@pytest.mark.parametrize("place", ["a" * 300, "a" * 300 + "/b.csr"])
def test_a_file_that_the_system_refuses_to_look_at(lone_box: Box, place: str) -> None:
    """As a folder of another account, which only root may enter in a test: told, no fault of ours."""
    lone_box.refused("populate", FEW[0], "--csr", place, code=1, says=["cannot be read"])
    lone_box.refused("populate", "--csr", place, code=2, says=["there is no folder"])
