# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in the way of a solution, in words: a line for each blocker, with what would unblock it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

#: What libsolv says of a request as such; it tells nothing once a reason stands beside it.
_EMPTY = "conflicting requests"
#: libdnf 0.74 names the repository of each package, and 0.69 where two packages have one name. What is
#: installed and what is given as a file has one as well, in name only.
_FROM = r"(?: from \S+)?"
_FROM_NO_REPOSITORY = re.compile(r" from @\S+")
_EXCLUDED = re.compile(rf"package (?P<package>\S+){_FROM} is filtered out by exclude filtering")
#: What follows from another rule beside it, or from how libsolv looks for one.
_ASIDE = re.compile(rf"problem with installed package (\S+)|\S+{_FROM} +has inferior architecture")
_NO_PROVIDER = ", but none of the providers can be installed"
_REQUIRES = re.compile(rf"package (?P<who>\S+){_FROM} requires (?P<what>.+)")
_AGAINST = re.compile(
    rf"package (?P<one>\S+){_FROM} (?:conflicts with|obsoletes) (?P<what>.+?) provided by (?P<other>\S+)"
)
_BOTH = re.compile(rf"cannot install both (?P<one>\S+){_FROM} and (?P<other>\S+)")
_ADVICE = (
    (re.compile(r"nothing provides (?P<what>.+?) needed by (?P<who>\S+)"),
     "add a repository that has {what}, or do without {who}"),
    (_AGAINST, "ask for {one} or {other}, not both"),
    (_BOTH, "let what asks for one of the two go"),
    (re.compile(r"does not have a compatible architecture"),
     "compose for that architecture, or do without it"),
)  # fmt: skip


def explain(
    rules: Sequence[str],
    why_excluded: Callable[[str], str],
    *,
    unblock: Callable[[str], str] = lambda package: "",
    base: Callable[[str], str | None] = lambda package: None,
) -> str:
    """One line for the rules of one libsolv problem.

    `why_excluded` says what keeps a package out and `unblock` what would let it in; `base` gives the name of a
    package that is one of the base's.
    """
    said = list(dict.fromkeys(rule for rule in rules if rule != _EMPTY and not _ASIDE.fullmatch(rule)))
    said = said or [rule for rule in rules if rule != _EMPTY] or [_EMPTY]
    excluded = {rule: match["package"] for rule in said if (match := _EXCLUDED.fullmatch(rule))}
    lines = [_in_terms_of_the_base(rule.replace(_NO_PROVIDER, ""), base) for rule in said if rule not in excluded]
    kept: dict[str, list[str]] = {}
    for package in dict.fromkeys(excluded.values()):
        kept.setdefault(why_excluded(package), []).append(package)
    for reason, packages in kept.items():
        lines.append(f"{' and '.join(packages)} {'is' if len(packages) == 1 else 'are'} kept out by {reason}")
    excluded_ones = [package for packages in kept.values() for package in packages]
    ways = [
        *(_for_the_base(rule, base) for rule in said),
        *(unblock(package) for package in excluded_ones),
        *(f"let {package} in" for package in excluded_ones),
        *(_advice(rule, base) for rule in said),
    ]
    advice = next(filter(None, ways), "")
    return "; ".join(lines) + (f" → {advice}" if advice else "")


def _for_the_base(rule: str, base: Callable[[str], str | None]) -> str:
    """Advice where a package of the base asks for what is to go."""
    match = _REQUIRES.fullmatch(rule.replace(_NO_PROVIDER, ""))
    name = base(match["who"]) if match else None
    return f"keep what has {match['what']}, or `override remove {name}` too" if match and name else ""


def _in_terms_of_the_base(rule: str, base: Callable[[str], str | None]) -> str:
    """The rule as a clause that says which packages are the base's."""
    rule = _FROM_NO_REPOSITORY.sub("", rule.removeprefix("package "))
    for word in dict.fromkeys(rule.split()):
        if base(word):
            rule = rule.replace(word, f"{word} of the base", 1)
    return rule


def _advice(rule: str, base: Callable[[str], str | None]) -> str:
    for pattern, text in _ADVICE:
        match = pattern.search(rule)
        if match is None:
            continue
        if pattern in (_AGAINST, _BOTH):
            for present, other in (("other", "one"), ("one", "other")):
                if name := base(match[present]):
                    return f"do without {match[other]}, or `override remove {name}`"
        return text.format(**match.groupdict())
    return ""


def missing(specs: Sequence[str], names: Collection[str], repo_ids: Sequence[str]) -> str:
    """The line for all specs that match nothing in the repositories, with names that come close."""
    import difflib

    listed = []
    for spec in specs:
        # Comparing is slow, and repositories have many names: those that begin in another way are far from it.
        like = [name for name in names if name[:1] == spec[:1] or name[1:4] == spec[1:4]]
        near = difflib.get_close_matches(spec, like, n=1, cutoff=0.75)
        listed.append(f"{spec} (did you mean {near[0]}?)" if near else spec)
    said = f"no package matches {', '.join(listed)}"
    if not repo_ids:
        return f"{said}, since no repository is enabled → enable one that has what is asked for"
    return f"{said} → correct the name, or add its repository to {', '.join(repo_ids)}"


def kept_out(spec: str, reason: str, advice: str = "") -> str:
    """The line for a requested spec of which every package is excluded."""
    return f"{spec} is requested, and kept out by {reason} → {advice or 'drop one of the two'}"


def not_in_base(name: str, done: str) -> str:
    """The line for a base package that is to be `done` something with, and isn't there."""
    return f"{name} is to be {done}, and the base has no such package → reset that override"


def nothing_to_replace(package: str, repo_id: str) -> str:
    """The line for a base package that a repository has nothing to replace with."""
    return f"{package} of the base is to be replaced from {repo_id}, which has none → reset that override"


def already_there(package: str) -> str:
    """The line for a file that is to be installed, and is in the base in just that build."""
    return f"{package} is in the base in just that build → drop the request"


def older_fits(older: str, repo_id: str) -> str:
    """The end of a line: what would be a solution without anything else changed."""
    return f"; an older version that fits is {older} of {repo_id}"
