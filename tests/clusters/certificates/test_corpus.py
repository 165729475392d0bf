"""Every chain of the corpus gets the verdict and the failing link it deserves, and OpenSSL says the same."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from clusters.chains import ChainVerdict, Judgement, Purpose, judge
from clusters.chains.names import is_address
from tests.clusters.certificates.corpus import NUMBERS, Case, cases
from tests.clusters.certificates.make import Made

CASES = cases()
_ERROR = re.compile(r"error (\d+) at (\d+) depth lookup")


def test_the_corpus_is_as_large_as_it_claims() -> None:
    assert len(CASES) >= 120
    assert {case.verdict for case in CASES} == set(ChainVerdict) - {ChainVerdict.UNVERIFIED}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict_and_failing_link_are_right(case: Case) -> None:
    found = _judged(case)
    blamed = found.failing
    assert (found.verdict, blamed and blamed.subject) == (case.verdict, case.blamed and case.blamed.certificate.subject), found.reason  # fmt: skip
    assert blamed == (case.blamed.certificate if case.blamed else None)
    if case.fails_at is not None:
        assert found.fails_at == case.fails_at


@pytest.mark.parametrize("case", [case for case in CASES if case.openssl], ids=lambda case: case.name)
def test_openssl_says_the_same(case: Case, tmp_path: Path) -> None:
    errors = _openssl(case, tmp_path)
    if case.verdict is ChainVerdict.OK:
        assert errors == []
        return
    found = _judged(case)
    assert found.failing_depth is not None
    of_leaf, of_authority = NUMBERS[case.verdict]
    assert errors, "OpenSSL accepts the chain"
    number, depth = errors[0]
    assert (number in (of_authority if found.failing_depth else of_leaf), depth) == (True, found.failing_depth), errors


def test_where_openssl_differs_the_case_says_why() -> None:
    assert all(case.why for case in CASES if not case.openssl)
    assert sum(not case.openssl for case in CASES) <= 5


def _judged(case: Case) -> Judgement:
    return judge(
        [one.certificate for one in case.presented], trusted=[one.certificate for one in case.trusted], at=case.at,
        host=case.host, purpose=case.purpose,
    )  # fmt: skip


def _openssl(case: Case, place: Path) -> list[tuple[int, int]]:
    """(error number, depth) of each error that `openssl verify` reports."""
    end, *others = case.presented
    files = {"leaf": [end], "others": others, "trusted": case.trusted}
    for name, made in files.items():
        (place / name).write_bytes(_pem(made))
    command = ["openssl", "verify", "-partial_chain", "-auth_level", "2", "-attime", str(int(case.at.timestamp()))]
    command += ["-purpose", "sslclient" if case.purpose is Purpose.CLIENT else "sslserver"]
    if case.host is not None:
        command += ["-verify_ip" if is_address(case.host) else "-verify_hostname", case.host]
    command += ["-trusted", str(place / "trusted")]
    command += ["-untrusted", str(place / "others")] if others else []
    done = subprocess.run([*command, str(place / "leaf")], capture_output=True, text=True, timeout=20, check=False)
    errors = [(int(number), int(depth)) for number, depth in _ERROR.findall(done.stdout + done.stderr)]
    assert (done.returncode == 0) == (not errors), done.stderr
    return errors


def _pem(made: Sequence[Made]) -> bytes:
    return b"".join(one.pem for one in made)
