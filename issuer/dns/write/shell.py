"""The recipes of sub-zones for BIND as one script for a root shell of the primary. Pure.

It holds the secret of the key, and puts it in place of another one. A zone that is there stays as it is. The parent's
zone file is written by hand, so the script only prints the lines for it, and the stanzas for the secondaries.
"""

from collections.abc import Sequence

from issuer.dns.write.zonefile import Recipe

_HEAD = """\
# For a root shell of the primary name server (BIND on Debian). It holds the secret of the key "{key}".
set -e
conf=/etc/bind/named.conf.local
touch "$conf"
cp -p "$conf" "$conf.before"
(umask 077; cat > /etc/bind/{key}.key.new <<'END'
{secret}END
)
chown root:bind /etc/bind/{key}.key.new; chmod 0640 /etc/bind/{key}.key.new
mv -f /etc/bind/{key}.key.new /etc/bind/{key}.key
grep -qs '^include "/etc/bind/{key}.key"' "$conf" || echo 'include "/etc/bind/{key}.key";' >> "$conf"
"""
_ZONE = """\
if ! grep -qs '^zone "{zone}"' "$conf"; then
cat > /var/lib/bind/db.{zone} <<'END'
{zone_file}END
chown bind: /var/lib/bind/db.{zone}
cat >> "$conf" <<'END'
{stanza}END
fi
"""
_TAIL = """\
if ! named-checkconf; then
  mv -f "$conf.before" "$conf"
  echo "BIND refuses what was to be added, see above: $conf is as it was" >&2
  exit 1
fi
rm -f "$conf.before"
rndc reconfig
cat <<'END'
Now into the zone file of the parent, by hand; then raise its serial and `rndc reload` it:

{parents}{secondaries}END
"""


def bind_script(recipes: Sequence[Recipe], key: str, secret: str) -> str:
    """*key*: its name; *secret*: the text of the key file."""
    parents = "".join(recipe.parent for recipe in recipes)
    pieces = [*(piece for recipe in recipes for piece in recipe.once), *(p for r in recipes for p in r.secondaries)]
    on_others = dict.fromkeys(piece for piece in pieces if piece.on_secondary)
    secondaries = "".join(f"\nOn {piece.host}, in {piece.place}:\n\n{piece.text}" for piece in on_others)
    zones = (_ZONE.format(zone=recipe.zone, zone_file=recipe.zone_file, stanza=recipe.stanza) for recipe in recipes)
    return "".join(
        [_HEAD.format(key=key, secret=_lines(secret)), *zones, _TAIL.format(parents=parents, secondaries=secondaries)]
    )


def _lines(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
