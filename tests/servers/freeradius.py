"""FreeRADIUS on loopback: EAP-TLS, EAP-TTLS and PEAP over RADIUS, and RadSec. A SIGHUP ends well, and EAP keeps its
certificate: only another process has the new one. `eapol_test`, a supplicant of others, tells what is served.
"""

import subprocess
from collections.abc import Sequence

from cryptography import x509

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import accepts_tcp, program
from tests.servers.service import SECONDS, Service

PACKAGE = "freeradius"
SECRET = "only between the two"
PHASE1 = "tls_disable_tlsv1_3=0"  # else a supplicant offers TLS 1.2 at most
# Runs the daemon again when it has ended well: what was told to end is restarted
SUPERVISOR = """trap 'kill $child; wait $child; exit' TERM
while :; do "$@" & child=$!; echo $child >"$0"; wait $child || exit; done"""
METHODS = {"peap": "PEAP", "ttls": "TTLS", "tls": "TLS"}


class Freeradius(Service):
    """One freeradius. *tls*: more lines of its TLS settings; *offers*: the methods that it has, the default first."""

    schemes: Sequence[str] = ("radius", "radsec")

    def __init__(self, issued: Issued, tls: str = "", offers: Sequence[str] = ("peap", "ttls", "tls")) -> None:
        super().__init__(issued)
        self._own_folder = self._folder("raddb")
        self._tls, self._offers = tls, offers
        self.secret_file = self._write("secret", f"{SECRET}\n")
        self.secret_file.chmod(0o600)
        self.check = [program("freeradius", PACKAGE), "-Cx", "-lstdout", "-d", str(self._own_folder)]
        self.activate = self._signal("TERM")
        self.hang_up = self._signal("HUP")

    def target(self, scheme: str = "radius") -> str:
        """RadSec has no secret that a client would have to know."""
        return super().target(scheme) + (f"&secret_file={self.secret_file}" if scheme == "radius" else "")

    def served(self, scheme: str = "radius") -> x509.Certificate:
        """The leaf that a supplicant gets now."""
        return super().served(scheme) if scheme == "radsec" else self.chain_of(self._offers[0])[0]

    def chain_of(self, method: str) -> list[x509.Certificate]:
        """All that `eapol_test` is shown by one method. ConnectionError if that is nothing."""
        found = self.folder / f"seen-{method}.pem"
        found.unlink(missing_ok=True)
        network = f'key_mgmt=IEEE8021X\neap={METHODS[method]}\nidentity="alice"\npassword="x"\nphase1="{PHASE1}"\n'
        network += f'client_cert="{self.files.fullchain}"\nprivate_key="{self.files.key}"\n'
        config = self._write(f"{method}.conf", f"network={{\n{network}}}\n")
        command = [program("eapol_test", "eapoltest"), "-c", str(config), "-a", LOOPBACK, "-o", str(found), "-t", "5"]
        command += ["-p", str(self.ports["radius"]), "-s", SECRET]
        subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        chain = x509.load_pem_x509_certificates(found.read_bytes())[::-1] if found.exists() else []  # the leaf is last
        if not chain:
            raise ConnectionError(f"eapol_test was shown no certificate by {method}")
        return chain

    def _ready(self) -> bool:
        # the port by UDP is open before the one by TCP; a supplicant that is too early waits for three seconds
        return accepts_tcp(LOOPBACK, self.ports["radsec"]) and bool(self.served())

    def _configure(self) -> None:
        for name in ("log", "run"):
            self._folder(name)
        tls = f"private_key_file = {self.files.key}\ncertificate_file = {self.files.fullchain}\n"
        tls += f"ca_file = {self.files.fullchain}\n{self._tls}\n"
        methods = {
            "peap": "peap {\ntls = common\ndefault_eap_type = md5\nvirtual_server = inner\n}\n",
            "ttls": "ttls {\ntls = common\ndefault_eap_type = md5\nvirtual_server = inner\n}\n",
            "tls": "tls {\ntls = common\n}\n",
        }
        offered = "".join(methods[name] for name in self._offers)
        self._write(
            "raddb/radiusd.conf",
            f"""prefix = /usr
localstatedir = {self.folder}
logdir = {self.folder}/log
raddbdir = {self._own_folder}
run_dir = {self.folder}/run
libdir = /usr/lib/freeradius
dictionary = /usr/share/freeradius/dictionary
max_request_time = 30
security {{
  reject_delay = 0
}}
log {{
  destination = files
  file = {self.folder}/log/radius.log
}}
client here {{
  ipaddr = {LOOPBACK}
  secret = "{SECRET}"
}}
thread pool {{
}}
modules {{
  always reject {{
    rcode = reject
  }}
  eap {{
    default_eap_type = {self._offers[0]}
    tls-config common {{
      {tls}
    }}
    {offered}
    md5 {{
    }}
  }}
}}
listen {{
  type = auth
  ipaddr = {LOOPBACK}
  port = {self.ports["radius"]}
  virtual_server = outer
}}
listen {{
  type = auth
  proto = tcp
  ipaddr = {LOOPBACK}
  port = {self.ports["radsec"]}
  virtual_server = outer
  clients = radsec
  tls {{
    require_client_cert = yes
    {tls}
  }}
}}
clients radsec {{
  client here {{
    ipaddr = {LOOPBACK}
    proto = tls
    secret = radsec
  }}
}}
server outer {{
  authorize {{
    eap
  }}
  authenticate {{
    eap
  }}
}}
server inner {{
  authorize {{
    reject
  }}
}}
""",
        )

    def _command(self) -> list[str]:
        daemon = [program("freeradius", PACKAGE), "-f", "-lstdout", "-d", str(self._own_folder)]
        return ["/bin/sh", "-c", SUPERVISOR, str(self.folder / "pid"), *daemon]
