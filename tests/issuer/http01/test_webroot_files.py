"""How challenge files come into a webroot and out of it again: the same here and over SFTP."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import Retry
from issuer.model.enrolment import Validation
from issuer.model.errors import WebrootError
from issuer.webroot.location import to_journal
from issuer.webroot.webroots import Webroots
from tests.issuer.http01.conftest import MACHINE, NAME, TOKEN, Place, entry, row, settings

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def left(folder: Path) -> list[str]:
    """Everything below a webroot."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_challenge_comes_and_goes(place: Place) -> None:
    """The file holds the key authorization, all may read it, and afterwards the webroot is as it was."""
    assert place.webroots.place(NAME, place.row()) == (NAME, place.noted)
    place.webroots.publish([place.entry()])
    file = place.challenges / TOKEN
    assert file.read_text(encoding="ascii") == f"{TOKEN}.thumbprint"
    assert (mode(file), mode(place.challenges), mode(place.challenges.parent)) == (0o644, 0o755, 0o755)
    assert os.listdir(place.challenges) == [TOKEN]
    place.webroots.withdraw([place.entry()])
    assert left(place.folder) == []


@ROOT
def test_what_root_makes_belongs_to_the_web_site(place: Place) -> None:
    """The file has the owner and group of the webroot. So have folders here; over SFTP they could only be given away by
    their path, which whoever owns the web site might swap for a link: they stay root's, and readable."""
    os.chown(place.folder, 33, 34)
    place.webroots.publish([place.entry()])
    status = (place.challenges / TOKEN).stat()
    assert (status.st_uid, status.st_gid) == (33, 34)
    owner = place.challenges.stat().st_uid
    assert owner == (33 if place.sshd is None else 0)
    assert (mode(place.challenges / TOKEN), mode(place.challenges)) == (0o644, 0o755)
    place.webroots.withdraw([place.entry()])
    assert left(place.folder) == []


def test_a_umask_takes_nothing_away(place: Place) -> None:
    """The web server can read what a process with a strict umask has made."""
    before = os.umask(0o077)
    try:
        place.webroots.publish([place.entry()])
    finally:
        os.umask(before)
    assert mode(place.challenges / TOKEN) == 0o644
    assert mode(place.challenges) == mode(place.challenges.parent) == 0o755


def test_folders_that_were_there_stay(place: Place) -> None:
    """Only folders that we made are removed, and those only when they are empty."""
    place.challenges.parent.mkdir()
    other = place.challenges.parent / "security.txt"
    place.webroots.publish([place.entry()])
    place.webroots.withdraw([place.entry()])
    assert left(place.folder) == [".well-known"]
    place.webroots.publish([place.entry()])
    other.write_text("Contact: mailto:noc@example.test", encoding="ascii")
    (place.challenges / "foreign").touch()
    place.webroots.withdraw([place.entry()])
    assert left(place.folder) == [
        ".well-known",
        ".well-known/acme-challenge",
        ".well-known/acme-challenge/foreign",
        ".well-known/security.txt",
    ]
    (place.challenges / "foreign").unlink()
    place.webroots.withdraw([place.entry()])
    assert left(place.folder) == [".well-known", ".well-known/security.txt"]


def test_challenges_side_by_side(place: Place) -> None:
    """Several names of one site have a file each; the last one that goes takes the folders with it."""
    one, two = place.entry(), place.entry("B" * 43)
    place.webroots.publish([one, two])
    assert sorted(os.listdir(place.challenges)) == ["B" * 43, TOKEN]
    place.webroots.withdraw([one])
    assert os.listdir(place.challenges) == ["B" * 43]
    place.webroots.withdraw([two])
    assert left(place.folder) == []


def test_another_process_takes_it_back(place: Place) -> None:
    """After a crash the next process removes file, half-written temporary and folders: it needs only the journal."""
    place.webroots.publish([place.entry()])
    (place.challenges / f".{TOKEN}.tmp").write_text(TOKEN[:10], encoding="ascii")
    place.again().withdraw([place.entry()])
    assert left(place.folder) == []


def test_another_machine_takes_back_what_it_sees(place: Place) -> None:
    """Over SFTP, and in a folder that two machines share, any issuer tidies up."""
    place.webroots.publish([place.entry()])
    place.again("issuer2").withdraw([place.entry()])
    assert not (place.challenges / TOKEN).exists()


def test_another_machine_leaves_what_it_does_not_see(folder: Path, tmp_path: Path) -> None:
    """A folder of the same path on another machine: not there, or empty, proves nothing. Nothing is written either."""
    theirs = [replace(entry(str(folder)), zone=f"issuer2:{folder}")]
    ours = Webroots(settings(tmp_path / "state"), MACHINE)
    ours.publish(theirs)
    assert left(folder) == []
    for _ in range(2):
        with pytest.raises(WebrootError, match="was written on issuer2 and can be removed only there") as caught:
            ours.withdraw(theirs)
        assert "sftp://" in caught.value.hint
        folder.rmdir() if folder.exists() else None


def test_a_journal_that_names_no_machine(folder: Path, tmp_path: Path) -> None:
    """Lines from before machines were noted are this one's."""
    old = [replace(entry(str(folder)), zone=str(folder))]
    ours = Webroots(settings(tmp_path / "state"), MACHINE)
    ours.publish(old)
    assert left(folder)
    ours.withdraw(old)
    assert left(folder) == []


def test_twice_is_once(place: Place) -> None:
    """Publishing again replaces, also over the temporary of a killed process; taking back again does nothing."""
    place.webroots.publish([place.entry()])
    (place.challenges / f".{TOKEN}.tmp").write_text("half", encoding="ascii")
    (place.challenges / TOKEN).write_text("damaged", encoding="ascii")
    place.again().publish([place.entry()])
    assert (place.challenges / TOKEN).read_text(encoding="ascii") == f"{TOKEN}.thumbprint"
    assert os.listdir(place.challenges) == [TOKEN]
    place.webroots.withdraw([place.entry()])
    place.webroots.withdraw([place.entry()])
    assert left(place.folder) == []


def test_nothing_to_take_back(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was never written, a folder that is gone, a webroot that is gone: all is well, but said where
    something else may be in the place of the webroot."""
    place.challenges.mkdir(parents=True)
    place.webroots.withdraw([])
    place.webroots.withdraw([place.entry()])
    assert "challenge.gone" not in capsys.readouterr().out
    place.challenges.rmdir()
    for gone in (place.challenges.parent, place.folder):
        place.webroots.withdraw([place.entry()])
        gone.rmdir()
    place.webroots.withdraw([place.entry()])
    assert capsys.readouterr().out.count("challenge.gone") == 3


def test_a_file_that_is_not_ours_stays(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of our name with other content was put there by somebody else."""
    place.webroots.publish([place.entry()])
    (place.challenges / TOKEN).write_text("of somebody else", encoding="ascii")
    place.webroots.withdraw([place.entry()])
    assert (place.challenges / TOKEN).read_text(encoding="ascii") == "of somebody else"
    assert "challenge.foreign" in capsys.readouterr().out


def test_a_link_in_the_file_s_place_is_replaced_not_followed(place: Place, tmp_path: Path) -> None:
    """Whoever may write to the web site cannot make us write elsewhere through a link of the file's name."""
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="ascii")
    place.challenges.mkdir(parents=True)
    (place.challenges / TOKEN).symlink_to(victim)
    (place.challenges / f".{TOKEN}.tmp").symlink_to(victim)
    place.webroots.publish([place.entry()])
    assert victim.read_text(encoding="ascii") == "precious"
    assert not (place.challenges / TOKEN).is_symlink()
    assert (place.challenges / TOKEN).read_text(encoding="ascii") == f"{TOKEN}.thumbprint"


def test_a_link_in_the_file_s_place_is_not_read_either(place: Place, tmp_path: Path) -> None:
    """A link is not our file, even if what it leads to has our content."""
    place.challenges.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text(f"{TOKEN}.thumbprint", encoding="ascii")
    (place.challenges / TOKEN).symlink_to(victim)
    place.webroots.withdraw([place.entry()])
    assert victim.exists()
    assert (place.challenges / TOKEN).is_symlink()


@pytest.mark.parametrize("linked", [".well-known", ".well-known/acme-challenge"])
def test_a_linked_folder_is_refused(place: Place, tmp_path: Path, linked: str) -> None:
    """No folder below the webroot may be a link: neither to write nor to delete through it."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "acme-challenge").mkdir(parents=True)
    link = place.folder / linked
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    for act in (lambda: place.webroots.place(NAME, place.row()), lambda: place.webroots.publish([place.entry()])):
        with pytest.raises(WebrootError, match="is not a folder") as caught:
            act()
        assert "symbolic link" in str(caught.value)
        assert "real folder" in caught.value.hint
    victim = elsewhere / TOKEN
    victim.write_text(f"{TOKEN}.thumbprint", encoding="ascii")
    (elsewhere / "acme-challenge" / TOKEN).write_text(f"{TOKEN}.thumbprint", encoding="ascii")
    place.webroots.withdraw([place.entry()])
    assert left(elsewhere) == sorted(["acme-challenge", f"acme-challenge/{TOKEN}", TOKEN])


def test_the_webroot_itself_may_be_a_link(place: Place, tmp_path: Path) -> None:
    """The path is the operator's word: /var/www/html may lead anywhere."""
    link = tmp_path / "linked"
    link.symlink_to(place.folder)
    path = place.path.replace(str(place.folder), str(link))
    noted = place.noted if place.sshd is None else to_journal(path, MACHINE)
    assert place.webroots.place(NAME, place.row(path)) == (NAME, noted)
    place.webroots.publish([place.entry(path=path)])
    assert (place.challenges / TOKEN).exists()
    place.webroots.withdraw([place.entry(path=path)])
    assert left(place.folder) == []


def test_a_deploy_that_switches_a_link(folder: Path, tmp_path: Path) -> None:
    """A file goes from where it was written, wherever the link of the webroot leads by then."""
    link, other = tmp_path / "current", tmp_path / "other"
    other.mkdir()
    link.symlink_to(folder)
    webroots = Webroots(settings(tmp_path / "state"), MACHINE)
    owner, zone = webroots.place(NAME, row(str(link)))
    written = replace(entry(str(link)), owner=owner, zone=zone)
    webroots.publish([written])
    link.unlink()
    link.symlink_to(other)
    assert len(left(folder)) == 3
    webroots.withdraw([written])
    assert left(folder) == []


def test_a_missing_webroot_is_not_made(place: Place) -> None:
    """A folder that is not there is a typing mistake, found before the CA hears of anything."""
    place.folder.rmdir()
    with pytest.raises(WebrootError, match="does not exist") as caught:
        place.webroots.place(NAME, place.row())
    assert caught.value.reference == "webroot-missing"
    assert "typing mistake" in caught.value.hint
    assert not place.folder.exists()
    place.folder.touch()
    with pytest.raises(WebrootError, match="is not a folder"):
        place.webroots.place(NAME, place.row())


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [
        ("*.example.test", "/var/www", "wildcard"),
        (NAME, "", "is empty"),
        (NAME, "var/www", "absolute"),
        (NAME, "/", "root of the file system"),
        (NAME, "ftp://u@h/www", "neither a folder nor an sftp://"),
    ],
)
def test_what_cannot_be_meant_is_refused(place: Place, name: str, path: str, says: str) -> None:
    """Wildcards and paths that are none are refused with a sentence, and no retry helps."""
    given = replace(place.row(), validation=Validation(certbot=True, webroot_path=path))
    with pytest.raises(WebrootError, match=says) as caught:
        place.webroots.place(name, given)
    assert caught.value.retry is Retry.NEVER
    assert caught.value.hint


@pytest.mark.parametrize("token", ["../../../etc/passwd", "", ".htaccess", "a" * 241])
def test_a_token_is_never_a_path(place: Place, token: str) -> None:
    """Whatever the CA sends becomes one plain file name or is refused."""
    for act in (place.webroots.publish, place.webroots.withdraw):
        with pytest.raises(WebrootError, match="cannot be a file name"):
            act([place.entry(token)])
    assert left(place.folder) == []


def test_trouble_with_the_file_is_told(place: Place) -> None:
    """A folder where the file belongs: a sentence with what to do, and no temporary is left."""
    (place.challenges / TOKEN).mkdir(parents=True)
    with pytest.raises(WebrootError, match="cannot work below") as caught:
        place.webroots.publish([place.entry()])
    assert caught.value.hint
    assert os.listdir(place.challenges) == [TOKEN]


def test_many_at_once_in_one_webroot(place: Place) -> None:
    """Certificates side by side make and remove the same folders without taking them from each other."""

    def come_and_go(number: int) -> None:
        entry = place.entry(f"{number:043d}")
        for _ in range(5):
            place.webroots.publish([entry])
            assert (place.challenges / f"{number:043d}").exists()
            place.webroots.withdraw([entry])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert left(place.folder) == []


def test_a_webroot_that_may_not_be_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before the CA is asked, and about the folder that is meant."""
    (folder / ".well-known").mkdir()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(WebrootError, match=r"may not write in .*/\.well-known: Permission denied") as caught:
        Webroots(settings(tmp_path / "state"), MACHINE).place(NAME, row(str(folder)))
    command = f"run `install -d -o root {folder}/.well-known/acme-challenge` there as root"
    assert command in caught.value.hint
