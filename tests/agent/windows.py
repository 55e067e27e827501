"""Windows that are open or closed now, for tests of what waits for one."""

from datetime import datetime, timedelta

from tests.agent.host import Host

CLOSED, OPEN = (2.0, 4.0), (-1.0, 1.0)


def window(host: Host, begin: float, end: float) -> None:
    """Give the certificate a window on any day, from and to so many hours from now."""
    now = datetime.now().astimezone()
    text = f"{now + timedelta(hours=begin):%H:%M}-{now + timedelta(hours=end):%H:%M}"
    lines = [line for line in host.config.read_text().splitlines() if not line.startswith("window = ")]
    words = "\n".join(lines).replace("[[certificate]]", f'[[certificate]]\nwindow = "{text}"')
    host.config.write_text(f"{words}\n")
