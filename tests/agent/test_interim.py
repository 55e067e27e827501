"""`request --interim`: a self-signed certificate where a service needs a file to start, until the first real one."""

from pathlib import Path

from cryptography import x509

from tests.agent.host import NAME, Done, Host
from tests.servers.nginx import Nginx


def interim(host: Host, *arguments: str) -> Done:
    return host.agent("request", NAME, "--csr", str(host.folder / "host.csr"), "--interim", *arguments)


def test_a_service_starts_with_it(host: Host, tmp_path: Path) -> None:
    """nginx does not start without its file; then it does, and the first real one takes its place."""
    host.fullchain.unlink()
    extra = host.live / "chain.pem"
    files = f'[certificate.files]\nfullchain = "{host.fullchain}"\nchain = "{extra}"'
    host.configure(files=files)
    done = interim(host)
    assert done.code == 0, done.err
    assert f"interim {host.fullchain} (self-signed)" in done.out
    found = x509.load_pem_x509_certificate(host.fullchain.read_bytes())
    assert found.issuer == found.subject
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert extra.read_bytes() == host.fullchain.read_bytes()
    with Nginx(tmp_path / "nginx", host.fullchain, host.key, name=NAME) as nginx:
        assert nginx.served() == found
        probe = [f"https://127.0.0.1:{nginx.port}"]
        host.configure(check=nginx.check, activate=nginx.activate, probe=probe, files=files)
        issued = host.offer_new()
        assert host.run().code == 0
        assert nginx.served() == issued.certificate


def test_what_is_there_is_not_touched(host: Host) -> None:
    """Neither a placeholder nor a real one; beside a real one nothing is made at all."""
    extra = host.live / "leaf.pem"
    host.configure(files=f'[certificate.files]\nfullchain = "{host.fullchain}"\ncertificate = "{extra}"')
    placeholder = host.fullchain.read_bytes()
    assert interim(host, "--json").json["interim"] == [str(extra)]
    assert host.fullchain.read_bytes() == placeholder
    extra.unlink()
    real = host.sign().fullchain_pem
    host.fullchain.write_bytes(real)
    done = interim(host)
    assert done.code == 1
    assert "a certificate from a CA is in place" in done.err
    assert host.fullchain.read_bytes() == real
    assert not extra.exists()


def test_a_name_that_is_not_configured(host: Host) -> None:
    done = interim(host)
    assert done.code == 2
    host.configure()
    done = host.agent("request", NAME, "--interim", "--key", str(host.folder / "other.pem"))
    assert done.code == 2
    assert not (host.folder / "other.pem").exists()
