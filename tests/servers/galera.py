"""A small Galera cluster on loopback: real MariaDB nodes that replicate by wsrep, state transfer by rsync."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.servers.mariadb import MariaDB
from tests.servers.ports import LOOPBACK, free_port, release_port
from tests.servers.process import ServerFailed, program
from tests.servers.several import SharedDatabase

_PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")


class Node(MariaDB):
    """A member: up when it has the cluster's state, not when it merely accepts connections."""

    def _ready(self) -> bool:
        return super()._ready() and self.sql("SHOW STATUS LIKE 'wsrep_ready'") == [("wsrep_ready", "ON")]


class Galera:
    """Context manager; *nodes* are MariaDB servers. A node may be killed: the others go on as long as they are more
    than half of the last known members."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        if not _PROVIDER.exists():
            raise ServerFailed("the Galera library is missing: install the Debian package galera-4")
        program("rsync", "rsync")
        self._folder = folder
        self._ports = [(free_port(), free_port(), free_port()) for _ in range(count)]
        members = ",".join(f"{LOOPBACK}:{group}" for group, _, _ in self._ports)
        self.nodes = [Node(options=self._options(number, members)) for number in range(count)]
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            for node in self.nodes:
                starting.callback(node.close)
            first = self.nodes[0]
            options = first.options
            first.options = (*options, "--wsrep-new-cluster")
            first.start()
            first.options = options
            for number, node in enumerate(self.nodes[1:], start=2):
                node.start()
                self._wait_for_size(number)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._running.close()
        for ports in self._ports:
            for port in ports:
                release_port(port)

    def create_database(self) -> SharedDatabase:
        """An empty database on all nodes, reached through all of them; no test kills the last one."""
        return SharedDatabase(self._folder, self.nodes, self.nodes[0].create_database())

    def _wait_for_size(self, size: int) -> None:
        self.nodes[0].wait_until(lambda: self._size() == size, f"the cluster has {size} nodes")

    def _size(self) -> int:
        [(_, value)] = self.nodes[0].sql("SHOW STATUS LIKE 'wsrep_cluster_size'")
        return int(value)

    def _options(self, number: int, members: str) -> tuple[str, ...]:
        group, incremental, state = self._ports[number]
        provider = (
            f"gmcast.listen_addr=tcp://{LOOPBACK}:{group};ist.recv_addr={LOOPBACK}:{incremental};"
            "gcache.size=16M;pc.recovery=false"
        )
        return (
            "--wsrep-on=ON",
            f"--wsrep-provider={_PROVIDER}",
            "--wsrep-cluster-name=lab",
            f"--wsrep-cluster-address=gcomm://{members}",
            f"--wsrep-node-name=n{number}",
            f"--wsrep-node-address={LOOPBACK}:{group}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address={LOOPBACK}:{state}",
            f"--wsrep-provider-options={provider}",
            "--binlog-format=ROW",
            "--default-storage-engine=InnoDB",
            "--innodb-autoinc-lock-mode=2",
        )
