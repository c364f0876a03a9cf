"""Find nginx on this host, read its configuration and judge it; what cannot be read is said."""

import itertools
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from bench import units
from bench.watch.nginx_here.access_logs import log_formats
from bench.watch.nginx_here.build import NginxBuild, conf_path, read_build
from bench.watch.nginx_here.changes import take_marks
from bench.watch.nginx_here.dump import DumpError, dumped_texts
from bench.watch.nginx_here.masters import NginxMaster, find_masters
from bench.watch.nginx_here.model import NginxHere, NginxLocation, ServerAddress
from bench.watch.nginx_here.roots import ProcessRoot, open_root
from bench.watch.nginx_here.running_files import RunningFiles, read_running_files
from bench.watch.nginx_here.servers import is_decided_by_requests, parse_hosts, servers_of
from nginx import check, versions
from nginx.check import CheckResult, LocationVerdicts
from nginx.errors import VersionError
from nginx.model import Model
from nginx.rules import CheckSettings

_MOST_NAMED = 3
"""Files or locations that a note names one by one."""
_HOSTS_BYTES = 1 << 20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a service's program lies that was called by its name."""


def find_nginx(
    pids: Collection[int] | None = None, netns_inode: int | None = None, *, may_dump: bool = False
) -> tuple[NginxHere, ...]:
    """Return the nginx of this host with what their configurations say, by pid.

    Args:
        pids: only those whose master or workers are among these processes; None: all.
        netns_inode: only those in this network namespace; None: in all. What may not be seen counts as in it.
        may_dump: ask `nginx -T`, which opens logs, instead of reading the files.
    """
    masters = [each for each in find_masters(pids) if _is_in_namespace(each.pid, netns_inode)]
    return tuple(found for each in masters if (found := _look_at(each, may_dump=may_dump)) is not None)


def find_pids(pids: Collection[int] | None = None, netns_inode: int | None = None) -> frozenset[int]:
    """Return the masters that `find_nginx` would look at."""
    return frozenset(each.pid for each in find_masters(pids) if _is_in_namespace(each.pid, netns_inode))


def _is_in_namespace(pid: int, netns_inode: int | None) -> bool:
    try:
        return netns_inode is None or os.stat(f"/proc/{pid}/ns/net").st_ino == netns_inode
    except PermissionError:
        return True
    except OSError:
        return False  # it ended


def _look_at(master: NginxMaster, *, may_dump: bool) -> NginxHere | None:
    """Return what is known of one nginx; None where it has ended."""
    # Before its files are read: what changes meanwhile is noticed.
    marks = take_marks(master.pid, ())
    try:
        root = open_root(master.pid)
        if root is None:
            note = "its files are not this user's to read, if it is in a container: root would see them"
            notes = (_about(master, note),)
            return NginxHere(master.pid, workers=master.workers, notes=notes, marks=marks)
        try:
            look = _Look(master, root)
            found = look.result(may_dump=may_dump)
            files = take_marks(master.pid, map(root.on_host, look.paths)).files
            return replace(found, marks=replace(marks, files=files))
        finally:
            root.files.close()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _about(master: NginxMaster, note: str) -> str:
    return f"nginx {master.pid}: {note}"


@dataclass(slots=True)
class _Look:
    """One nginx that is being looked at."""

    master: NginxMaster
    root: ProcessRoot
    notes: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    """The files of the configuration, as it sees them."""

    def result(self, *, may_dump: bool) -> NginxHere:
        build = self._build()
        version = self._version(build)
        arguments = self.master.arguments
        prefix = arguments.prefix if arguments.prefix is not None else build.prefix if build else None
        conf = conf_path(arguments.conf or (build.conf if build else None), prefix, self.root.cwd)
        here = NginxHere(self.master.pid, version, conf, self.master.workers)
        if conf is None:
            self._note("which file it reads this user may not see: root may")
            return replace(here, notes=tuple(self.notes))
        files = self._files(conf, may_dump=may_dump)
        if not files.texts:
            return replace(here, notes=tuple(self.notes))
        settings = CheckSettings(workers=self.master.workers)
        result, model = check.check_texts(files.texts, {version or check.NEWEST: "running"}, settings)
        locations = self._locations(model, result)
        formats = log_formats(
            model.configuration.http, str(PurePosixPath(self.root.cwd or "/", prefix or "/"))
        )
        return replace(
            here,
            locations=locations,
            findings=tuple(result.findings),
            log_formats={self.root.on_host(path): each for path, each in formats.items()},
            notes=tuple(self.notes),
        )

    def _note(self, note: str) -> None:
        self.notes.append(_about(self.master, note))

    def _build(self) -> NginxBuild | None:
        """Return what the program says; None where it may not be read, or is no nginx."""
        try:
            return read_build(Path(f"/proc/{self.master.pid}/exe"))
        except PermissionError:
            # Of another user; but the file that it was started from is mostly for everybody to read.
            program = shutil.which(self.master.arguments.program, path=_PATH) if self.root.is_own else None
        try:
            return read_build(Path(program)) if program is not None else None
        except OSError:
            return None

    def _version(self, build: NginxBuild | None) -> str | None:
        """Return the version as the rules take it; None, and a note, where they know none."""
        reason = "its version cannot be read"
        if build is not None:
            try:
                return str(versions.parse(build.version))
            except VersionError:
                reason = f"{build.version} is another program than the rules know"
        self._note(f"{reason}, so that it is judged as nginx {check.NEWEST}")
        return None

    def _files(self, conf: str, *, may_dump: bool) -> RunningFiles:
        """Return the texts of the configuration; note what is missing, and what is newer than what runs."""
        found = read_running_files(self.root.files, conf)
        self.paths += [*found.texts, *found.unread]
        if may_dump:
            try:
                found = replace(found, texts=dumped_texts(self.master, self.root, conf), unread={})
            except DumpError as error:
                self._note(f"{error}; its files were read instead")
        for path, reason in itertools.islice(found.unread.items(), _MOST_NAMED):
            remedy = "; root may read it" if "Permission denied" in reason and os.geteuid() != 0 else ""
            self._note(f"{path} {reason}{remedy}")
        if len(found.unread) > _MOST_NAMED:
            self._note(f"{units.plural(len(found.unread) - _MOST_NAMED, 'more file')} cannot be read")
        if newer := found.changed_since(self.master.read_at_s):
            named = _named(newer)
            self._note(f"{named} changed after nginx read its files: what runs may differ until a reload")
        return found

    def _locations(self, model: Model, result: CheckResult) -> tuple[NginxLocation, ...]:
        hosts = parse_hosts(self._hosts())
        open_ones = [str(each.directive.place) for each in model.passes if is_decided_by_requests(each)]
        if open_ones:
            self._note(f"requests decide where {_named(open_ones)} passes them")
        servers = [servers_of(each, hosts) for each in model.passes]
        named = frozenset(
            (address, each.port) for group in servers for each in group for address in each.addresses
        )
        return tuple(
            _location(verdicts, result, own, named)
            for verdicts, own in zip(result.locations, servers, strict=True)
        )

    def _hosts(self) -> str:
        try:
            return self.root.files.read("/etc/hosts", _HOSTS_BYTES)[0].decode("utf-8", "replace")
        except OSError:
            return ""


def _named(names: list[str]) -> str:
    """Return the first names of a list, and how many more there are."""
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


def _location(
    verdicts: LocationVerdicts,
    result: CheckResult,
    servers: tuple[ServerAddress, ...],
    named: frozenset[tuple[str, int]],
) -> NginxLocation:
    (version,) = result.versions
    verdict, rules = verdicts.verdicts[version], verdicts.rules[version]
    # One line alone often changes nothing: all that explains the verdict has to be changed together.
    fixes = dict.fromkeys(
        f"{finding.fix} ({finding.place})"
        for finding in result.findings
        if finding.rule in rules and verdicts.place in finding.passes and finding.fix
    )
    return NginxLocation(
        verdicts.heading,
        str(verdicts.place),
        verdicts.target,
        verdict.answer,
        verdicts.fails,
        verdict.reason,
        "; ".join(fixes) if verdicts.fails else "",
        rules,
        servers,
        named,
    )
