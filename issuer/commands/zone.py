"""zone: the sub-zone of each name, ready to paste."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from common.command_line import report, say
from common.config_file import load
from common.errors import UsageError
from common.files import read_regular
from common.names import parse_dns_name
from issuer.dns.asking import NoAnswer
from issuer.dns.dns01 import refuse_unfit, sub_zone
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import route_for, routes
from issuer.dns.find.wildcard import wildcard_caution
from issuer.dns.write.shell import bind_script
from issuer.dns.write.tsig import load_tsig_key, readable_tsig_key
from issuer.dns.write.zonefile import RECIPES, Recipe, with_notes
from issuer.dns.zones import nameserver_names
from issuer.model.config import Settings


def zone(arguments: argparse.Namespace) -> None:
    """Print stanza, zone file and parent lines of every NAME."""
    settings = load(Settings, arguments.config)
    resolvers = Resolvers(settings.dns.resolvers)
    recipes = [_recipe(text, arguments.server, arguments.ns, settings, resolvers) for text in arguments.name]
    recipes = list({recipe.zone: recipe for recipe in recipes}.values())  # a wildcard and its apex share one
    if arguments.json:
        report([asdict(recipe) for recipe in recipes])
        return
    if arguments.shell:
        sys.stdout.write(_script(arguments, recipes, settings))  # a key file holds tabs, which `say` would escape
        return
    for piece in dict.fromkeys(piece for recipe in recipes for piece in recipe.once):
        say(f"--- once on the primary, in {piece.place} ---\n{piece.text}")
    for recipe in recipes:
        say(f"--- on the primary, as {recipe.zone_place} ---\n{recipe.zone_file}")
        say(f"--- on the primary, in {recipe.stanza_place} ---\n{recipe.stanza}")
        say(f"--- in the zone file of the parent ---\n{recipe.parent}")


def _script(arguments: argparse.Namespace, recipes: Sequence[Recipe], settings: Settings) -> str:
    """Raises UsageError, ConfigError."""
    if arguments.server != "bind":
        raise UsageError("--shell is for BIND only", hint="leave it out, and paste what `zone` prints")
    files = {route_for(recipe.zone, routes(settings.dns)).tsig_key_file for recipe in recipes}
    file = files.pop()
    if files or file is None:
        hint = "set tsig_key_file in [dns]; ask for the names of one key at a time"
        raise UsageError("--shell wants one key for all names", hint=hint)
    key = load_tsig_key(file).name.to_text(omit_final_dot=True)
    return bind_script(recipes, key, read_regular(file).decode())


def _recipe(text: str, make: str, nameservers: list[str], settings: Settings, resolvers: Resolvers) -> Recipe:
    try:
        name = parse_dns_name(text)
        refuse_unfit(name)
        hosts = [parse_dns_name(host) for host in nameservers]
    except ValueError as error:
        raise UsageError(str(error), hint="give a DNS name like www.example.com") from error
    route = route_for(sub_zone(name), routes(settings.dns))
    key = readable_tsig_key(route.tsig_key_file)
    hosts = hosts or nameserver_names(route, name, resolvers, key if route.sign_queries else None)
    if not hosts:
        hint = "name them with --ns ns1.example.com --ns ns2.example.com"
        raise UsageError(f"the name servers of {name} cannot be found", hint=hint)
    key_name = "acme" if key is None else key.name.to_text(omit_final_dot=True)
    recipe = RECIPES[make](name, key_name, str(route.tsig_key_file or "/etc/certfleet/acme.key"), hosts)
    return with_notes(recipe, _notes(name.removeprefix("*."), resolvers))


def _notes(name: str, resolvers: Resolvers) -> list[str]:
    """A warning to heed before the parent's lines are pasted. Where the resolvers do not answer, as without a network,
    it names the question to clear up."""
    try:
        caution = wildcard_caution(resolvers, name)
    except NoAnswer as error:
        return [
            f"no resolver told whether a DNS wildcard answers for {name} ({error})",
            "if it does, give it records of its own first",
        ]
    return [caution.sentence, caution.hint] if caution is not None else []
