"""The daemons of the drill, by the name of their preset."""

from tests.drill.web import WEB

DAEMONS = {one.preset: one for one in (*WEB,)}
