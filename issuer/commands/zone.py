"""zone: the sub-zone of each name, ready to paste."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from ipaddress import ip_address
from pathlib import Path

from common.command_line import report, say
from common.config_file import load
from common.errors import ConfigError, FileError, UsageError
from common.files import make_folder, read_regular, write_atomic
from common.names import parse_dns_name
from issuer.commands.records import print_caa, print_persist
from issuer.dns.asking import NoAnswer
from issuer.dns.dns01 import refuse_unfit, sub_zone
from issuer.dns.find.nameservers import nameserver_names
from issuer.dns.find.resolvers import Resolvers
from issuer.dns.find.routes import Route, route_for, routes
from issuer.dns.find.wildcard import wildcard_caution
from issuer.dns.servers import DNS_PORT, Server, configured_servers
from issuer.dns.write.secondary import FOLLOWERS
from issuer.dns.write.shell import bind_script
from issuer.dns.write.tsig import load_tsig_key, readable_tsig_key
from issuer.dns.write.zonefile import RECIPES, Nameservers, Piece, Recipe, with_notes
from issuer.model.config import Settings
from issuer.model.errors import DnsError


def zone(arguments: argparse.Namespace) -> None:
    """Print, or write to files, what every NAME needs on the primary, on the secondaries and in the parent."""
    if arguments.method is not None and not arguments.caa:
        raise UsageError("--method is for --caa", hint="give both, or none")
    settings = load(Settings, arguments.config)
    if arguments.persist:
        print_persist(settings, arguments)
        return
    if arguments.caa:
        print_caa(settings, arguments)
        return
    resolvers = Resolvers(settings.dns.resolvers)
    recipes = [_recipe(text, arguments, settings, resolvers) for text in arguments.name]
    recipes = list({recipe.zone: recipe for recipe in recipes}.values())  # a wildcard and its apex share one
    once = list(dict.fromkeys(piece for recipe in recipes for piece in recipe.once))
    pieces = [piece for recipe in recipes for piece in recipe.pieces]
    if arguments.out is not None:
        _write(Path(arguments.out), [*once, *pieces], force=arguments.force, json=arguments.json)
    elif arguments.json:
        report([asdict(recipe) for recipe in recipes])
    elif arguments.shell:
        sys.stdout.write(_script(arguments, recipes, settings))  # a key file holds tabs, which `say` would escape
    else:
        for piece in once:
            say(f"--- once on {piece.host}, in {piece.place} ---", *piece.text.split("\n"))
        for piece in pieces:
            say(f"--- on {piece.host}, in {piece.place} ---", *piece.text.split("\n"))


def _write(folder: Path, pieces: Sequence[Piece], *, force: bool, json: bool) -> None:
    """Write the pieces, those for one file together. Raises FileError, before anything is written, where a file is
    there already and *force* does not allow to replace it."""
    files: dict[Path, list[Piece]] = {}
    for piece in pieces:
        files.setdefault(folder / piece.path, []).append(piece)
    there = [file for file in files if os.path.lexists(file)]
    if there and not force:
        raise FileError(f"{there[0]} exists already", hint="nothing was written: choose another folder, or add --force")
    for file, some in files.items():
        make_folder(file.parent)
        write_atomic(file, "".join(piece.text for piece in some).encode())
    if json:
        report([{"file": str(file), "on": some[0].host, "in": some[0].place} for file, some in files.items()])
        return
    for file, some in files.items():
        say(f"{file}: for {some[0].host}, in {some[0].place}")
    say("next: put the texts in place, the primary's first and the parent's last; then certfleet-issuer check NAME")


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


def _recipe(text: str, arguments: argparse.Namespace, settings: Settings, resolvers: Resolvers) -> Recipe:
    try:
        name = parse_dns_name(text)
        refuse_unfit(name)
        hosts = list(dict.fromkeys(parse_dns_name(host) for host in arguments.ns))
    except ValueError as error:
        raise UsageError(str(error), hint="give a DNS name like www.example.com") from error
    route = route_for(sub_zone(name), routes(settings.dns))
    key = readable_tsig_key(route.tsig_key_file)
    hosts = hosts or nameserver_names(route, name, resolvers, key if route.sign_queries else None)
    if not hosts:
        hint = "name them with --ns ns1.example.com --ns ns2.example.com"
        raise UsageError(f"the name servers of {name} cannot be found", hint=hint)
    key_name = "acme" if key is None else key.name.to_text(omit_final_dot=True)
    key_file = str(route.tsig_key_file or "/etc/certfleet/acme.key")
    servers = Nameservers(hosts, {host: _addresses(host, resolvers) for host in hosts[1:]})
    recipe = RECIPES[arguments.server](name, key_name, key_file, servers)
    if hosts[1:]:
        recipe = _with_secondaries(recipe, servers, arguments.secondary or arguments.server, route, resolvers)
    return with_notes(recipe, _notes(name.removeprefix("*."), resolvers))


def _with_secondaries(recipe: Recipe, servers: Nameservers, make: str, route: Route, resolvers: Resolvers) -> Recipe:
    primary = _transferred_from(route, servers.hosts[0], resolvers)
    followers = [FOLLOWERS[make](recipe.zone, host, primary) for host in servers.secondaries]
    once = [piece for follower in followers for piece in follower.once]
    return replace(recipe, once=(*recipe.once, *once), secondaries=tuple(follower.stanza for follower in followers))


def _transferred_from(route: Route, host: str, resolvers: Resolvers) -> Server:
    """The primary as secondaries reach it: the server of the updates, unless its address is one of loopback."""
    try:
        update = configured_servers("server", [route.server], route.port)[0] if route.server else None
    except (ConfigError, DnsError):
        update = None
    if update is not None and not ip_address(update.address).is_loopback:
        return update
    known = _addresses(host, resolvers)
    return Server(known[0], DNS_PORT) if known else update or Server(f"ADDRESS-OF-{host}", DNS_PORT)


def _addresses(host: str, resolvers: Resolvers) -> list[str]:
    try:
        return resolvers.addresses(host)
    except NoAnswer:
        return []


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
