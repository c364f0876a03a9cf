"""What the machines of a run differ in, and those of several runs, role by role. Pure.

Names and addresses are no conditions of a measurement, nor are load averages. Memory is left out too: two
machines of one kind differ by a few MiB, and what the kernel makes of it stands in the sysctls. Nor is it a
difference where a fact is known of one machine only.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import units
from bench.runs.machine_record import MachineRecord
from bench.runs.record import ROLES, RunRecord

_FACTS = ("system", "kernel", "architecture", "cpu_model", "cores")
_TABLES = ("sysctls", "limits", "versions")
_LABELS = {"cpu_model": "processor", "commit": "commit of bench"}
_PLURALS = {"client": "clients", "proxy": "proxies", "backend": "backends"}
_ON_ONE = "one for all roles"
_Fact = tuple[str, tuple[str, ...]]
"""A label, and its value in each run."""


def describe_within(machines: Sequence[MachineRecord]) -> str:
    """Return in a line what the machines of a run differ in; nothing where no two are described."""
    facts = {each.name: list_facts(each.description) for each in machines if each.description}
    if len(facts) < 2:
        return ""
    columns = _turn(facts)
    different = [f"{key} ({format_row(row)})" for key, row in columns.items() if len(set(row.values())) > 1]
    if different:
        return f"the machines differ in {'; '.join(different)}"
    return "the machines have the same kernel, processor, cores, sysctls, limits and versions"


def compare(runs: Sequence[RunRecord[Any]]) -> list[str]:
    """Return a warning where `runs` differ in their machines, of which at least one has several.

    Where none has, the machine is compared as one condition among the others (bench/analysis/sides.py).
    """
    if not any(run.machines for run in runs):
        return []
    numbers = tuple(map(count_roles, runs))
    rows = [f"number ({' | '.join(numbers)})"] if len(set(numbers)) > 1 else []
    roles = [role for role in ROLES if any(_has(run, role) for run in runs)]
    for of_roles, facts in _group(roles, runs).items():
        where = "" if list(of_roles) == roles else f"{' and '.join(of_roles)}: "
        rows.append(where + ", ".join(f"{key} ({' | '.join(row)})" for key, row in facts))
    return [f"the sides differ in their machines: {'; '.join(rows)}"] if rows else []


def count_roles(run: RunRecord[Any]) -> str:
    """Return how many machines each role of `run` has, in words."""
    if not run.machines:
        return _ON_ONE
    counts = Counter(each.role for each in run.machines)
    named = {role: counts[role] for role in (*ROLES, *counts) if role in counts}
    workers = len({each.worker for each in run.machines})
    shared = [f"on {units.plural(workers, 'worker')}"] if workers < len(run.machines) else []
    words = [f"{n} {role if n == 1 else _PLURALS.get(role, role)}" for role, n in named.items()]
    return ", ".join([*words, *shared])


def merge_facts(facts: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the facts of machines by label: one value where all have the same, else each with its machines.

    Load averages are left out: they differ always.
    """
    return {key: format_row(row) for key, row in _turn(facts).items() if key != "load average"}


def list_facts(description: Mapping[str, Any]) -> dict[str, str]:
    """Return what of a machine's description is a condition of what is measured there, by its label."""
    facts = {key: description.get(key) for key in _FACTS}
    for name in _TABLES:
        table = description.get(name)
        facts |= table if isinstance(table, Mapping) else {}
    git = description.get("git")
    facts["commit"] = git.get("commit") if isinstance(git, Mapping) else None
    return {_label(key): str(value) for key, value in facts.items() if value is not None}


def _label(key: str) -> str:
    return _LABELS.get(key, key if "." in key else key.replace("_", " "))


def _turn(facts: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return the facts by label and machine, given by machine and label."""
    keys = dict.fromkeys(key for described in facts.values() for key in described)
    return {key: {name: facts[name][key] for name in facts if key in facts[name]} for key in keys}


def format_row(row: Mapping[str, str]) -> str:
    """Return the values of machines by name: those of the few with their names, then that of the most."""
    (most, _), *_ = Counter(row.values()).most_common(1)
    others = dict.fromkeys(value for value in row.values() if value != most)
    if not others:
        return most
    named = [f"{value} on {', '.join(n for n in row if row[n] == value)}" for value in others]
    return "; ".join([*named, f"else {most}"])


def _group(roles: Sequence[str], runs: Sequence[RunRecord[Any]]) -> dict[tuple[str, ...], list[_Fact]]:
    """Return what differs, by the roles that differ in it."""
    by_fact: dict[_Fact, list[str]] = {}
    for role in roles:
        for fact in _differing(role, runs):
            by_fact.setdefault(fact, []).append(role)
    grouped: dict[tuple[str, ...], list[_Fact]] = {}
    for fact, of_roles in by_fact.items():
        grouped.setdefault(tuple(of_roles), []).append(fact)
    return grouped


def _differing(role: str, runs: Sequence[RunRecord[Any]]) -> Iterator[_Fact]:
    """Yield what the machines of a role differ in: a label, and its values in each run that has any."""
    described = [_describe(run, role) for run in runs]
    keys = dict.fromkeys(key for facts in described for each in facts for key in each)
    for key in keys:
        # What is not known of a machine is no difference: a namespace does not show every sysctl.
        counts = [Counter(each[key] for each in facts if key in each) for facts in described]
        if len({_condense(each) for each in counts if each}) > 1:
            yield key, tuple(map(_show, counts))


def _describe(run: RunRecord[Any], role: str) -> list[dict[str, str]]:
    """Return the facts of each machine of a role that is described; one without others has all roles."""
    of_role = [each.description for each in run.machines if each.role == role]
    return [list_facts(each) for each in (of_role if run.machines else [run.machine]) if each]


def _has(run: RunRecord[Any], role: str) -> bool:
    return any(each.role == role for each in run.machines)


def _condense(counts: Counter[str]) -> frozenset[tuple[str, float]]:
    """Return which values there are and their shares: four machines alike are no other than two."""
    return frozenset((value, count / counts.total()) for value, count in counts.items())


def _show(counts: Counter[str]) -> str:
    if len(counts) < 2:
        return next(iter(counts), "-")
    return ", ".join(f"{value} on {count}" for value, count in sorted(counts.items()))
