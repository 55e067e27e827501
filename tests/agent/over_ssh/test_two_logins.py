"""Two certificates of one host, each with a login of its own."""

import shlex

import pytest

from tests.agent.host import NAME, Host
from tests.agent.remote import RemoteSite, own_preset
from tests.servers.nginx import Nginx
from tests.servers.sshd import new_key

OTHER = "other.example.test"


@pytest.mark.soak
@pytest.mark.parametrize("is_first", [False, True])
def test_one_that_the_host_refuses(host: Host, site: RemoteSite, nginx: Nginx, is_first: bool) -> None:
    """The other certificate is installed by the commands that fit the host, whichever stands first in agent.toml."""
    own = ["{program}", "-c", shlex.join(nginx.activate)]
    files = own_preset(host, own)
    site.configure(probe=[f"https://127.0.0.1:{nginx.port}"], files=files)
    head, entry = host.config.read_text().replace("activate = []\n", "").split("[[certificate]]")
    login = site.settings.replace(str(site.sshd.key), str(new_key(host.folder / "refused")))
    refused = f'\nname = "{OTHER}"\nkey = "{host.key}"\nprobe = []\nservice = "mine"\n{login}'
    refused += f'[certificate.files]\nfullchain = "{host.live}/other.pem"\n'
    entries = [refused, entry] if is_first else [entry, refused]
    host.config.write_text("[[certificate]]".join([head, *entries]))
    issued = host.offer_new()
    host.offer(issued.cert_pem, issued.chain_pem, name=OTHER)
    done = host.run()
    states = {one["name"]: one["state"] for one in done.json["certificates"]}
    assert states == {NAME: "installed", OTHER: "unreachable"}, done.err
    assert nginx.served() == issued.certificate
