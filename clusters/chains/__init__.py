"""Certificates without Django: reading them out of files, and judging chains link by link. Pure."""

from clusters.chains.facts import Certificate, NotACertificate, read
from clusters.chains.judge import Judgement, Link, judge
from clusters.chains.parse import LARGEST_BUNDLE, Bundle, Reason, Unreadable, parse
from clusters.chains.verdicts import ChainVerdict, Purpose

__all__ = [
    "LARGEST_BUNDLE",
    "Bundle",
    "Certificate",
    "ChainVerdict",
    "Judgement",
    "Link",
    "NotACertificate",
    "Purpose",
    "Reason",
    "Unreadable",
    "judge",
    "parse",
    "read",
]
