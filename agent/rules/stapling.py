"""Is stapling set up so that it works, or so that it does no harm? Pure: a configuration and facts in, findings out.

Apache asks a responder while a client waits for its handshake: one that it cannot reach takes a site down. A responder
that no certificate names only fills the log.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.model.dialect import Dialect
from agent.model.stapling import Directive, Facts, Parsed, Place, Served, Site, Way
from common.check_line import BAD, OK, WARN, Line
from common.dataclasses import dataclass
from common.text import one_line, some

IN_TIME = 10.0  # seconds: the default of Apache's SSLStaplingResponderTimeout
_LONGEST = 30.0  # seconds that `check` waits for a responder, however patient the service is


def sites(read: Parsed, dialect: Dialect) -> list[Site]:
    """The virtual servers that speak TLS. A setting of an enclosing block counts for it too, unless it has its own."""
    return list(_sites(read.tree, {}, dialect, within=False))


def _sites(
    tree: Sequence[Directive], outer: Mapping[str, tuple[Directive, ...]], dialect: Dialect, *, within: bool
) -> Iterator[Site]:
    here = {**outer, **_by_name(tree)}
    if dialect.engine and not within and dialect.engine.lower() in _by_name(tree):
        engine = here[dialect.engine.lower()][-1]
        yield from _speaking(Site("the main server", engine.place, here), dialect)
    for one in tree:
        if one.name.lower() == dialect.site.lower():
            inside = {**here, **_by_name(one.body)}
            site = Site("", one.place, inside)
            named = site.word(dialect.name)
            yield from _speaking(Site(named[0] if named else "", one.place, inside), dialect)
        elif one.body:
            yield from _sites(one.body, here, dialect, within=True)


def _by_name(tree: Iterable[Directive]) -> dict[str, tuple[Directive, ...]]:
    found: dict[str, list[Directive]] = {}
    for one in tree:
        if not one.body:
            found.setdefault(one.name.lower(), []).append(one)
    return {name: tuple(some) for name, some in found.items()}


def _speaking(site: Site, dialect: Dialect) -> Iterator[Site]:
    engine = site.word(dialect.engine)
    if site.word(dialect.certificate) and (not dialect.engine or (engine and engine[0].lower() in ("on", "optional"))):
        yield site


@dataclass(frozen=True, slots=True)
class Case:
    """A certificate in a site."""

    site: Site
    served: Served
    on: bool  # is stapling on?
    switch: Place | None  # the directive that says so; None without one
    responder: str  # the URL that the service asks, "" for none
    staple: str  # a file that is served in place of an answer
    seconds: float  # that a responder may take


def cases(found: Iterable[Site], dialect: Dialect, certificates: Mapping[str, Served]) -> list[Case]:
    """Each certificate of each site; those whose file could not be read have a problem."""
    return [
        _case(site, certificates[one.words[0]], dialect)
        for site in found
        for one in site.all(dialect.certificate)
        if one.words and one.words[0] in certificates
    ]


def _case(site: Site, served: Served, dialect: Dialect) -> Case:
    switch, forced = site.word(dialect.switch), site.word(dialect.responder)
    staple, timeout = site.word(dialect.staple), site.word(dialect.timeout)
    responder = forced[0] if forced else next(iter(served.responders), "")
    on = switch is not None and switch[0].lower() == "on"
    patience = _number(timeout[0]) if timeout else None
    return Case(
        site,
        served,
        on=on,
        switch=switch[1] if switch else None,
        responder=responder,
        staple=staple[0] if staple else (served.staple.file if served.staple else ""),
        seconds=IN_TIME if patience is None else max(1.0, min(float(patience), _LONGEST)),
    )


def _number(word: str) -> int | None:
    """A whole number as a service reads one; None for another word."""
    return int(word) if re.fullmatch("[0-9]{1,9}", word) else None


def to_ask(found: Iterable[Case]) -> dict[str, Case]:
    """The responders to connect to, each with a case: those that are asked, and those of sites in which a person has
    turned stapling off."""
    return {one.responder: one for one in found if one.responder and one.switch is not None and not one.staple}


def findings(service: str, dialect: Dialect, read: Parsed, found: Sequence[Case], facts: Facts) -> list[Line]:
    """All about one service, the worst first; one line if all is well."""
    lines = [
        *_unreadable(service, found),
        *_must_staple(service, found),
        *_without_responder(service, dialect, found),
        *_away(service, dialect, found, facts),
        *_cache(service, dialect, read, found, facts),
        *_advised(service, dialect, found),
        *_staples(service, found, facts),
        *_off(service, dialect, found, facts),
        *_symptoms(service, facts),
    ]
    if not lines:
        on = len({one.site.place for one in found if one.on or one.staple})
        told = f"{on} of {len({one.site.place for one in found})} virtual servers with TLS staple"
        return [Line(OK, service, f"stapling: {told}, and nothing is wrong with that", kind="stapling")]
    return sorted(lines, key=lambda line: (BAD, WARN, OK).index(line.level))


def _unreadable(service: str, found: Sequence[Case]) -> Iterator[Line]:
    problems = {one.served.file: one.served.problem for one in found if one.served.problem}
    for file, problem in problems.items():
        yield Line(WARN, service, f"stapling: {file} cannot be looked at: {problem}", kind="stapling-unreadable")


def _by_switch(found: Iterable[Case]) -> dict[Place, list[Case]]:
    """The cases of each switch that turns stapling on."""
    grouped: dict[Place, list[Case]] = {}
    for one in found:
        if one.on and one.switch is not None:
            grouped.setdefault(one.switch, []).append(one)
    return grouped


def _must_staple(service: str, found: Sequence[Case]) -> Iterator[Line]:
    lacking = [one for one in found if one.served.must_staple and not (one.staple or (one.on and one.responder))]
    for one in {one.served.file: one for one in lacking}.values():
        why = "it names no responder" if one.on else "stapling is not on"
        sentence = f"{one.served.file} ({_name(one)}) must be served with a staple, and has none: {why}"
        hint = "browsers refuse it: order one without the extension (must-staple), or turn stapling on"
        yield Line(BAD, service, sentence, hint, kind="must-staple")


def _without_responder(service: str, dialect: Dialect, found: Sequence[Case]) -> Iterator[Line]:
    for place, governed in _by_switch(found).items():
        silent = [one for one in governed if not (one.responder or one.staple or one.served.problem)]
        if not silent:
            continue
        files = _some(one.served.file for one in silent)
        sentence = f"{place} turns stapling on, and no OCSP responder is named by {files}"
        if len(silent) == len(governed):
            hint = f"delete `{dialect.switch}` in {place}"
        else:
            blocks = _some(str(one.site.place) for one in silent)
            hint = f"`{dialect.switch} off` in the virtual server at {blocks}; others under that switch have one"
        hint += ": the CA has ended OCSP, as Let's Encrypt did in 2025, and revokes by lists alone"
        yield Line(WARN, service, sentence, hint, kind="stapling-without-responder")


def _away(service: str, dialect: Dialect, found: Sequence[Case], facts: Facts) -> Iterator[Line]:
    for place, governed in _by_switch(found).items():
        for url in dict.fromkeys(one.responder for one in governed if one.responder and not one.staple):
            ways = [way for way in facts.reached.get(url, ()) if not way.absent]
            lost = [way for way in ways if way.seconds is None]
            if not lost:
                continue
            sentence = f"{place} turns stapling on, and {url} does not answer this host in time: {_told(ways)}"
            if len(lost) == len(ways):
                hint = f"open the firewall for it, or `{dialect.switch} off` in {place} until it answers"
                yield Line(BAD, service, sentence, hint, kind="responder-away")
            else:
                hint = f"mend the way by {' and '.join(way.family for way in lost)}: the server may try that first"
                yield Line(WARN, service, sentence, hint, kind="responder-half-away")
        lone = [one for one in governed if one.responder and not one.staple and not one.served.has_issuer]
        if lone:
            files = _some(one.served.file for one in lone)
            sentence = f"{place} turns stapling on, and the issuer's certificate is not in {files}: nobody can be asked"
            yield Line(WARN, service, sentence, "serve the chain behind the certificate", kind="stapling-no-issuer")


def _cache(service: str, dialect: Dialect, read: Parsed, found: Sequence[Case], facts: Facts) -> Iterator[Line]:
    governed = _by_switch(found)
    if not dialect.cache or not governed:
        return
    switch = next(iter(governed))
    cache = next(iter(found)).site.word(dialect.cache)
    if cache is None:
        sentence = f"{switch} turns stapling on, and there is no {dialect.cache}: the next start fails"
        hint = f"`{dialect.cache} shmcb:/run/{service}-stapling(65536)` outside of all virtual servers"
        yield Line(BAD, service, sentence, hint, kind="stapling-cache")
        return
    value, place = cache
    kind, _, where = value.partition(":")
    module = dialect.cache_module.replace("{kind}", kind)
    if read.modules is not None and module not in read.modules:
        sentence = f"{place}: {dialect.cache} needs the module {module}, which is not loaded: the next start fails"
        yield Line(BAD, service, sentence, f"load {module}", kind="stapling-cache")
    folder = where.partition("(")[0].rpartition("/")[0]
    if folder in facts.missing_folders:
        sentence = f"{place}: there is no folder {folder} for the file of {dialect.cache}"
        hint = "make it: where shared memory needs a file, the next start fails"
        yield Line(WARN, service, sentence, hint, kind="stapling-cache")


def _advised(service: str, dialect: Dialect, found: Sequence[Case]) -> Iterator[Line]:
    for place, governed in _by_switch(found).items():
        asking = [one.site for one in governed if one.responder and not one.staple]
        lacking = {
            f"{name} {value}": None
            for site in asking
            for name, value in dialect.advised
            if not _is_as_advised(site.word(name), value)
        }
        if lacking:
            sentence = f"{place} turns stapling on, and clients would get an error of the responder, or wait for it"
            hint = f"set {', '.join(f'`{one}`' for one in lacking)}: the site stays up while the responder is away"
            yield Line(WARN, service, sentence, hint, kind="stapling-not-safe")


def _is_as_advised(has: tuple[str, Place] | None, value: str) -> bool:
    """Has a directive the advised *value*? A number may also be less."""
    if has is None:
        return False
    number, most = _number(has[0]), _number(value)
    if number is None or most is None:
        return has[0].lower() == value.lower()
    return number <= most


def _staples(service: str, found: Sequence[Case], facts: Facts) -> Iterator[Line]:
    for one in {one.staple: one for one in found if one.staple}.values():
        staple = one.served.staple or facts.staples.get(one.staple)
        if staple is None or not staple.fault:
            continue
        sentence = f"the staple in {staple.file} for {one.served.file} ({_name(one)}) is of no use: {staple.fault}"
        if one.responder:
            hint = "let a job fetch it anew well before it ends, or delete it"
        else:
            hint = f"delete {staple.file}, and what names it: the certificate names no responder that could renew it"
        level = BAD if one.served.must_staple else WARN
        yield Line(level, service, sentence, hint, kind="stale-staple")


def _off(service: str, dialect: Dialect, found: Sequence[Case], facts: Facts) -> Iterator[Line]:
    """A person has turned stapling off. Is that still needed?"""
    off = {one.switch: one for one in found if one.switch is not None and not one.on and one.responder}
    for place, one in off.items():
        ways = [way for way in facts.reached.get(one.responder, ()) if not way.absent]
        told = f"{place} turns stapling off for {_name(one)}"
        if ways and all(way.seconds is not None for way in ways):
            sentence = f"{told}, and {one.responder} answers: {_told(ways)}"
            hint = f"turn it on again, or delete `{dialect.switch}` in {place} if it is to stay off"
            yield Line(WARN, service, sentence, hint, kind="stapling-again")
        elif ways:
            sentence = f"{told}, and {one.responder} still does not answer in time: {_told(ways)}"
            yield Line(OK, service, sentence, kind="stapling-off")


def _symptoms(service: str, facts: Facts) -> Iterator[Line]:
    for one in facts.symptoms:
        times = "once" if one.count == 1 else f"{one.count} times"
        sentence = f"{one.log} said {one.sign} {times} in the last day: {one_line(one.last)}"
        yield Line(WARN, service, sentence, one.meaning, kind="stapling-symptom")


def _told(ways: Sequence[Way]) -> str:
    """The ways in words."""
    return "; ".join(
        f"{way.family}: {way.problem}" if way.seconds is None else f"{way.family}: after {way.seconds:.1f} s"
        for way in ways
    )


def _name(one: Case) -> str:
    return f"{one.site.name}, {one.site.place}" if one.site.name else str(one.site.place)


def _some(texts: Iterable[str]) -> str:
    return some(list(dict.fromkeys(texts)))
