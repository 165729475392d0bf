"""Builds every chain from a leaf to an anchor and says which link fails first, and when the chain as a whole will.

An anchor is any certificate of the trust stores, an intermediate or a leaf too: so do Kafka's brokers and Java clients.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clusters.chains.constraints import constraint_defects
from clusters.chains.facts import Certificate
from clusters.chains.links import (
    Defect,
    may_have_issued,
    signature_defect,
    signed_by,
    strength_defects,
    structure_defects,
    time_defect,
)
from clusters.chains.names import by_common_name_only, names_host
from clusters.chains.verdicts import ChainVerdict, Purpose

LONGEST_CHAIN = 12
_MOST_PATHS = 64
_MOST_STEPS = 4000
_SECOND = timedelta(seconds=1)

# Defects of the time go away or come by waiting; the others stay.
_OF_TIME = frozenset({ChainVerdict.EXPIRED, ChainVerdict.NOT_YET_VALID})


@dataclass(frozen=True, slots=True)
class Link:
    """One certificate of the judged chain, from the leaf up. `origin`: presented | trusted | known."""

    certificate: Certificate
    depth: int
    origin: str
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a leaf.

    `failing_depth`: the first failing link (0 = leaf), None when all is well or nothing is known. `fails_at`: the last second
    at which the chain holds, None when it does not hold now. `fails_with`: the depth of the link that ends it then.
    `notes`: what is odd without breaking the chain.
    """

    verdict: ChainVerdict
    reason: str
    failing_depth: int | None
    links: tuple[Link, ...]
    fails_at: datetime | None = None
    fails_with: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def failing(self) -> Certificate | None:
        return None if self.failing_depth is None else self.links[self.failing_depth].certificate


@dataclass(frozen=True, slots=True)
class _Path:
    certificates: tuple[Certificate, ...]
    end: Defect | None  # why it reaches no anchor
    lasting: tuple[Defect, ...] = ()  # what is wrong whatever the time


def judge(
    presented: Sequence[Certificate],
    *,
    trusted: Iterable[Certificate],
    at: datetime,
    host: str | None = None,
    purpose: Purpose = Purpose.SERVER,
    known: Iterable[Certificate] = (),
) -> Judgement:
    """Judge the first of `presented` with the others and the trust stores at the moment `at` (aware).

    `known` are certificates seen elsewhere: they never complete a chain, because no client has them, but say what is missing.
    Without any trusted certificate the best there is to say is `unverified`. `presented` must not be empty.
    """
    leaf, anchors = presented[0], {one.fingerprint: one for one in trusted}
    others = {one.fingerprint: one for one in presented}
    paths = [
        replace(path, lasting=tuple(_lasting(path.certificates, host, purpose)))
        for path in _paths(leaf, others, anchors, known)
    ]
    best = min(paths, key=lambda path: _rank(path, at))
    judged = _judgement(best, others, anchors, at)
    if judged.verdict is ChainVerdict.OK:
        ends, depth = _holds_until(paths, at, best)
        judged = replace(judged, fails_at=ends, fails_with=depth)
    return replace(judged, notes=tuple(_notes(presented, best, host)))


def _judgement(
    path: _Path, presented: dict[str, Certificate], anchors: dict[str, Certificate], at: datetime
) -> Judgement:
    defects = sorted_defects(path, at)
    found = next(iter(defects), None)
    if not anchors and found is not None and found is path.end:
        lasting = next((one for one in defects if one is not path.end), None)
        found = lasting or Defect(0, ChainVerdict.UNVERIFIED, "No trust store is known to judge it by.")
    links = tuple(
        Link(one, depth, _origin(one, presented, anchors), tuple(d for d in defects if d.depth == depth))
        for depth, one in enumerate(path.certificates)
    )
    if found is None:
        root = path.certificates[-1]
        return Judgement(ChainVerdict.OK, f"Every link holds up to {root.title}.", None, links)
    failing = None if found.verdict is ChainVerdict.UNVERIFIED else found.depth
    return Judgement(found.verdict, found.text, failing, links)


def sorted_defects(path: _Path, at: datetime) -> list[Defect]:
    """All that is wrong, in the order in which OpenSSL looks: reaching an anchor, links, names, then times from the top."""
    early = [
        one for one in path.lasting if one.verdict not in {ChainVerdict.BAD_SIGNATURE, ChainVerdict.NAME_NOT_PERMITTED}
    ]
    found = [*([path.end] if path.end else []), *early]
    for depth in range(len(path.certificates) - 1, -1, -1):
        found += [one for one in path.lasting if one.verdict is ChainVerdict.BAD_SIGNATURE and one.depth == depth]
        timed = time_defect(path.certificates[depth], depth, at)
        found += [timed] if timed else []
    return found + [one for one in path.lasting if one.verdict is ChainVerdict.NAME_NOT_PERMITTED]


def _lasting(path: tuple[Certificate, ...], host: str | None, purpose: Purpose) -> Iterator[Defect]:
    strength = list(strength_defects(path))
    yield from (one for one in strength if one.depth == 0 and one.verdict is ChainVerdict.WEAK_KEY)
    yield from structure_defects(path, purpose)
    yield from (one for one in strength if not (one.depth == 0 and one.verdict is ChainVerdict.WEAK_KEY))
    if host is not None and not names_host(path[0], host):
        names = ", ".join((*path[0].dns_names, *path[0].ip_names)[:5]) or path[0].common_name or "nothing"
        yield Defect(0, ChainVerdict.WRONG_NAME, f"{path[0].title} does not name {host}; it names {names}.")
    for depth in range(len(path) - 1):
        if (bad := signature_defect(path[depth], path[depth + 1], depth)) is not None:
            yield bad
    yield from constraint_defects(path)


def _paths(
    leaf: Certificate, presented: dict[str, Certificate], anchors: dict[str, Certificate], known: Iterable[Certificate]
) -> list[_Path]:
    """Every way up from the leaf; one that ends without an anchor says why."""
    pool = {**presented, **anchors}
    found: list[_Path] = []
    stack: list[tuple[Certificate, ...]] = [(leaf,)]
    steps = 0
    while stack and len(found) < _MOST_PATHS and steps < _MOST_STEPS:
        steps += 1
        path = stack.pop()
        top = path[-1]
        if top.fingerprint in anchors:
            found.append(_Path(path, None))
            continue
        above = [one for one in pool.values() if one not in path and may_have_issued(one, top)]
        right = [one for one in above if signed_by(top, one)]
        above = right or above  # a namesake with another key is no issuer where the real one is at hand
        if top.looks_self_signed or not above or len(path) >= LONGEST_CHAIN:
            found.append(_Path(path, _dead_end(path, known)))
            continue
        stack.extend((*path, one) for one in above)
    return found or [_Path((leaf,), _dead_end((leaf,), known))]


def _dead_end(path: tuple[Certificate, ...], known: Iterable[Certificate]) -> Defect:
    top, depth = path[-1], len(path) - 1
    if top.looks_self_signed:
        if depth == 0:
            return Defect(0, ChainVerdict.SELF_SIGNED, f"{top.title} has signed itself and stands in no trust store.")
        return Defect(depth, ChainVerdict.UNTRUSTED, f"The root {top.title} stands in no trust store.")
    issuer = next((one for one in known if may_have_issued(one, top) and signed_by(top, one)), None)
    hint = f"; it is known, and the server should send it: {issuer.title}" if issuer is not None else ""
    return Defect(depth, ChainVerdict.MISSING_ISSUER, f"The issuer of {top.title} is missing ({top.issuer}){hint}.")


def _rank(path: _Path, at: datetime) -> tuple[bool, int, bool, float]:
    """Best first: one that holds, then one that reaches an anchor with few faults, then one that holds longest."""
    timed = [one for depth, cert in enumerate(path.certificates) if (one := time_defect(cert, depth, at)) is not None]
    faults = len(path.lasting) + len(timed)
    missing = path.end is not None and path.end.verdict is ChainVerdict.MISSING_ISSUER
    ends = min(one.not_after for one in path.certificates).timestamp()
    return path.end is not None, faults, missing, -ends


def _holds_until(paths: Sequence[_Path], at: datetime, best: _Path) -> tuple[datetime, int]:
    """The last second of validity over all paths that lead to an anchor, and the depth of the link that ends it."""
    good = [
        (max(one.not_before for one in path.certificates), min(one.not_after for one in path.certificates), path)
        for path in paths
        if path.end is None and not path.lasting
    ]
    ends, last = at - _SECOND, best
    grown = True
    while grown:
        grown = False
        for begins, stops, path in good:
            if begins <= _next_second(ends, at) and stops > ends:
                ends, last, grown = stops, path, True
    depth = min(range(len(last.certificates)), key=lambda index: last.certificates[index].not_after)
    return ends, depth


def _next_second(ends: datetime, at: datetime) -> datetime:
    return at if ends < at else ends + _SECOND if ends < datetime.max.replace(tzinfo=ends.tzinfo) - _SECOND else ends


def _origin(one: Certificate, presented: dict[str, Certificate], anchors: dict[str, Certificate]) -> str:
    if one.fingerprint in presented:
        return "presented"
    return "trusted" if one.fingerprint in anchors else "known"


def _notes(presented: Sequence[Certificate], best: _Path, host: str | None) -> Iterator[str]:
    leaf = presented[0]
    chain = {one.fingerprint: depth for depth, one in enumerate(best.certificates)}
    if len({one.fingerprint for one in presented}) < len(presented):
        yield "The server sends a certificate twice."
    places = [chain[one.fingerprint] for one in presented if one.fingerprint in chain]
    if places != sorted(places):
        yield "The chain is sent out of order; some clients refuse that."
    stray = [one.title for one in presented if one.fingerprint not in chain]
    if stray:
        yield f"The server sends certificates that do not belong to the chain: {', '.join(stray[:3])}."
    if len(presented) > 1 and any(one.looks_self_signed for one in presented[1:]):
        yield "The server sends its root, which clients ignore."
    if host is not None and by_common_name_only(leaf):
        yield "The certificate names its host in the common name only; many clients no longer look there."
    for one in best.certificates:
        for problem in one.problems:
            yield f"{one.title}: {problem}."
