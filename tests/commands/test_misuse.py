"""What makes no sense is told in one line that names it, with code 2, before anything starts; nothing stays.

In this process, and so quick; what is refused only once a lab is being opened is tried in processes of its
own at the end.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from backends.http.start import main as backend
from tests import bench_process, command_line, needs

REFERENCE = Path(__file__).parent.parent.parent / "results" / "reference"

PLANS = {
    "mode.toml": 'mode = "long"',
    "text.toml": '[load]\nconnections = "many"',
    "key.toml": "[lode]\nrate = 1",
    "syntax.toml": "mode =",
    "table.toml": "load = 3",
    "nan.toml": "[load]\nduration_s = nan",
    "half.toml": "trials = 2.5",
    "true.toml": "trials = true",
    "sysctls.toml": "[hosts]\nsysctls = 3",
    "nested.toml": '[hosts.sysctls]\n"net.ipv4.tcp_tw_reuse" = {a = 1}',
    "infinite.toml": "trials = inf",
    "float.toml": "trials = 1e18",
    "digits.toml": f"trials = {10**400}",
    "hexadecimal.toml": f"trials = 0x{'f' * 9000}",
    "deep.toml": f"mode = {'[' * 300}{']' * 300}",
    "deeper.toml": f"mode = {'[' * 90_000}{']' * 90_000}",
    "negative.toml": "[load]\nwarmup_s = -0.0",
    "control.toml": '[subject]\nprogram = "/a\\u0000b"',
    "long.toml": f'mode = "{"x" * 9000}"',
    "large.toml": "#" * (1 << 20) + "\n",
    "settings.toml": 'scenario = "push"\nsettings = 3',
    "fine.toml": "[load]\nconnections = 8",
    "target.toml": '[subject]\ntarget = "http://x"\npool_idle = 4',
    "idiom.toml": '[subject]\nidiom = "folklore"',
}
RUNS = {
    "newer": '{"format": 99}',
    "empty": "",
    "garbage": "garbage",
    "header": '{"format": 2, "kind": "run", "plan": {}}',
}

# What is typed after `bench`, and what must be in the one line that comes back.
MISUSE = [
    ("polish", "no such command 'polish'"),
    ("--colour", "no such option '--colour'"),
    # run, plan: files
    ("run missing.toml", "missing.toml: cannot be read as a TOML plan: No such file or directory"),
    ("run folder", "folder: cannot be read as a TOML plan: Is a directory"),
    ("run latin.toml", "latin.toml: cannot be read as a TOML plan: 'utf-8' codec"),
    ("run syntax.toml", "syntax.toml: cannot be read as a TOML plan: Invalid value (at"),
    ("run mode.toml", "mode = 'long' is not one of short, keepalive, both"),
    ("run text.toml", "load.connections = 'many' is not a whole number"),
    ("run key.toml", "unknown key lode; known here: mode, closes_first, lab, trials"),
    ("run table.toml", "load = 3 is not a table"),
    ("run nan.toml", "load.duration_s = nan is not a finite number"),
    ("run half.toml", "trials = 2.5 is not a whole number"),
    ("run true.toml", "trials = True is not a whole number"),
    ("run sysctls.toml", "hosts.sysctls = 3 is not a table of texts"),
    ("run nested.toml", "hosts.sysctls.net.ipv4.tcp_tw_reuse = {'a': 1} is not a text"),
    ("run infinite.toml", "infinite.toml: trials = inf is not a finite number"),
    ("run float.toml", "float.toml: trials = 1e+18 is not a whole number"),
    ("run digits.toml", "digits.toml: trials is a whole number of 1,329 bits; the most are 63"),
    ("run hexadecimal.toml", "hexadecimal.toml: trials is a whole number of 36,000 bits"),
    ("run deep.toml", "is nested more than 32 deep"),
    ("run deeper.toml", "deeper.toml: cannot be read as a TOML plan: it is nested too deeply"),
    ("run negative.toml", "load.warmup_s = -0 must be between 0 and 86,400"),
    ("run control.toml", "control.toml: subject.program = '/a\\x00b' holds a control character"),
    ("run long.toml", "xxx' is not one of short, keepalive, both"),
    ("run large.toml", "large.toml: cannot be read as a TOML plan: it is larger than 1 MiB"),
    ("run /dev/zero", "/dev/zero: cannot be read as a TOML plan: it is a device, not a file"),
    ("scenario run --lab loopback settings.toml", "settings = 3 is not a table"),
    ("run idiom.toml", "subject.idiom = 'folklore' is not one of"),
    ("run one.toml two.toml", "unexpected extra argument (two.toml)"),
    ("plan missing.toml", "missing.toml: cannot be read"),
    ("plan --trials none", "'none' is not a valid integer"),
    # run: flags
    ("run --mode", "option '--mode' requires an argument"),
    ("run --mode long", "'long' is not one of 'short', 'keepalive', 'both'; `bench run --help`"),
    ("run --lab moon", "'moon' is not one of"),
    ("run --lab cluster", "--lab cluster needs --scheduler: the address of Dask's scheduler, or the file"),
    ("run --clients 2", "--clients 2 has no effect beside --lab auto"),
    ("run --lab cluster --scheduler x --proxy-at 127.0.0.1:1 --mode short", "needs --backend-port"),
    ("run --lab cluster --scheduler x --proxy-at here --mode short", "--proxy-at here is no HOST:PORT"),
    ("run --lab cluster --scheduler x --ports 99", "would change machines of others"),
    ("run --lab cluster --scheduler x --clients 9 -c 8", "raise it"),
    ("run --lab cluster --scheduler x --proxies 2", "is more than there are load workers"),
    ("run --lab cluster --scheduler nowhere.json", "there is no cluster file"),
    ("ab mode=short mode=keepalive --lab cluster --scheduler nowhere.json", "there is no cluster file"),
    ("ab scheduler=a.json scheduler=b.json --lab cluster", "values of cluster.scheduler (a.json, b.json)"),
    ("sweep --vary clients=1,2 --lab cluster --scheduler nowhere.json", "there is no cluster file"),
    (
        "search --require latency_ms.p99<20 --lab cluster --scheduler nowhere.json",
        "there is no cluster file",
    ),
    ("run --colour", "no such option '--colour'"),
    ("run --trials 0", "--trials 0 must be at least 1"),
    ("run --trials 1000000000000000000", "--trials 1000000000000000000 is more than 100,000; lower it"),
    (f"run --trials {10**400}", "--trials 1" + 79 * "0" + "... is a whole number of 1,329 bits"),
    ("run --trials 90000", "--trials 90000: 180,000 trials of 3 s take 8 days; a run takes 7 at the most"),
    ("run -c 1000001", "-c 1000001 is more than 1,000,000; lower it"),
    ("run --workers 2000 -c 5000", "--workers 2000 is more than 1,024; lower it"),
    ("run --pool-idle 2000000000", "--pool-idle 2000000000 is more than 1,000,000,000"),
    ("run --duration 0.0001s", "--duration 0.0001s must be at least 0.001"),
    ("run --rate 1e-300", "--rate 1e-300 must be at least 0.001"),
    (f"run --duration {'9' * 400}s", "is not a duration"),
    (f"run --response-size {'9' * 309}GiB", "is not a size"),
    ("run --delay 99999999s", "--delay 99999999s is more than a day"),
    ("run --backend-close linger:9999999ms", "is not understood"),
    (
        "scenario run --lab loopback push --set subscribers=1e18",
        "--set subscribers=1e18 is not a whole number",
    ),
    (
        "scenario run --lab loopback push --set subscribers=99999999",
        "--set subscribers=99999999 is more than 1,000,000; lower it",
    ),
    (f"scenario run --lab loopback push --set subscribers={'9' * 5000}", "is not a whole number"),
    (f"scenario run --lab loopback push --set subscribers={'[' * 5000}", "is not a whole number"),
    (
        "scenario run --lab loopback push --set messages_per_s=nan",
        "--set messages_per_s=nan is not a finite number",
    ),
    ("scenario run --lab loopback push --set warmup_s=-0.0", "--set warmup_s=-0.0 must be above 0"),
    ("scenario run --lab loopback push --set duration_s=90000", "is more than 86,400; lower it"),
    ("scenario run --lab loopback push --trials 99999", "days; a run takes 7 at the most"),
    ("scenario run --lab loopback push --trials 999999", "--trials 999999 is more than 100,000; lower it"),
    (
        "scenario run --lab loopback broker --set messages_per_s=1e7",
        "3,000,000,000 a second, more than 10,000,000",
    ),
    ("scenario run --lab loopback registry --set joins_per_s=0.001", "days; a run takes 7 at the most"),
    ("scenario run --lab loopback tls --set warmup_s=1e-9", "must be above 0 (0.001 at the least)"),
    ("run --duration soon", "'soon' is not a duration; write 10s, 250ms or 2m"),
    ("run --duration 0", "--duration 0 must be a number above 0"),
    ("run --duration -1s", "'-1s' is not a duration"),
    ("run --duration 30h", "--duration 30h is more than a day"),
    ("run --warmup x", "'x' is not a duration"),
    ("run --warmup 30h", "--warmup 30h must be between 0 and 86,400"),
    ("run -c 1.5", "'1.5' is not a valid integer"),
    ("run --connections 0", "--connections 0 must be at least 1"),
    ("run --rate 0", "--rate 0 must be a number above 0"),
    ("run --rate nan", "--rate nan is no rate; write 5000, 5k, 5000/s"),
    ("run --rate 1e12", "is more than 10,000,000 requests per second"),
    ("run --rate fast", "--rate fast is no rate"),
    ("run --load-workers 9 -c 8", "--load-workers 9 is more than -c 8; each worker needs a connection"),
    ("run --workers 0", "--workers 0 must be at least 1"),
    ("run --arrivals poisson", "--arrivals poisson needs --rate"),
    ("run --rate 2k --arrivals normal", "'normal' is not one of 'constant', 'poisson'"),
    ("run --rate 1000..", "--rate 1000.. is no rate"),
    ("run --rate 0..0", "--rate 0..0 never sends a request"),
    ("run --rate 1k..20M", "more than 10,000,000 requests per second"),
    ("run -X post", "-X post is written in capitals; write POST"),
    ("run --method PUT/", "--method PUT/ is no method"),
    ("run -X CONNECT", "-X CONNECT opens a tunnel"),
    ("run -X HEAD --body x", "-X HEAD has no content"),
    ("run --body x --body-file y", "--body x and --body-file y both name the content; leave one out"),
    (
        "run -X POST --body-file /nowhere",
        "--body-file /nowhere cannot be read: No such file or directory; name another file",
    ),
    (
        "ab pool-idle=1 pool-idle=2 -X POST --body-file /nowhere",
        "--body-file /nowhere cannot be read: No such file",
    ),
    (
        "sweep --vary pool-idle=0,1 -X POST --body-file /nowhere",
        "--body-file /nowhere cannot be read: No such file",
    ),
    (
        "search --require latency_ms.p99<20 -X POST --body-file /nowhere",
        "--body-file /nowhere cannot be read: No such file",
    ),
    ("run -X POST --body-file /dev/zero", "--body-file /dev/zero cannot be read: it is a device"),
    ("run -H nothing", "-H nothing is no header field; write NAME: VALUE"),
    ("run -H content-length:5", "-H content-length:5 cannot be set: it is computed from the body"),
    ("run --header Connection:close", "--header Connection:close cannot be set: the clients set it"),
    ("run -H Expect:100-continue", "-H Expect:100-continue cannot be set: the body is sent at once"),
    ("run -H Host:a -H host:b", "has two Host fields; leave one out"),
    ("run --url search", "--url search is no URL; write /PATH"),
    ("run --url 0:/a", "--url 0:/a has a weight of 0"),
    ("run --url /a#b", "--url /a#b has a fragment"),
    ("run --url http://a/", "--url http://a/ names a server; write a path"),
    ("run --target http://a/ --url http://b/", "--url http://b/ is not on the server of http://a/"),
    ("run --target http://", "--target http:// names no host; write http://HOST:PORT/PATH"),
    ("run --target http://a:99999/", "--target http://a:99999/ is no URL: Port out of range"),
    ("run --target http://a:0/", "--target http://a:0/ names port 0"),
    ("run --target http://b:c@a/", "--target http://b:c@a/ names a user"),
    ("run --target http://a/#b", "--target http://a/#b has a fragment"),
    ("run --target 'http://a/b c'", "--target http://a/b c holds a character that no URL may"),
    ("search --require latency_ms.p99<20 --from 5k --to 1k", "--from 5000 is not below --to 1000"),
    ("search --require latency_ms.p99<20 --to fast", "'fast' is not a rate per second; write 5000, 5k"),
    ("run --expect-status 99", "--expect-status 99 is not understood; write 200, 2xx"),
    ("run --expect-status 100", "--expect-status 100 holds a status that ends no response"),
    ("run -n 0", "-n 0 must be at least 1"),
    ("run --ports 5", "--ports 5 must be between 16 and 64511"),
    ("run --ports 99999", "--ports 99999 must be between 16 and 64511"),
    ("run --ports 200 --lab loopback", "use --lab namespaces"),
    ("run --proxy-addresses 0", "--proxy-addresses 0 must be at least 1"),
    ("run --backend-addresses 999", "go up to 200"),
    ("run --sysctl oops", "'oops' is not KEY=VALUE, as in net.ipv4.tcp_tw_reuse=1"),
    ("run --sysctl =", "'=' is not KEY=VALUE"),
    ("run --subject squid", "'squid' is not one of"),
    ("run --subject nginx@", "names no program; write nginx@system, nginx@wheel or nginx@/path"),
    (
        "run --subject direct@wheel",
        "--subject direct@wheel goes with nginx, haproxy, envoy, caddy, nghttpx",
    ),
    ("run --upstream-http 2", "'2' is not one of '1.0', '1.1'"),
    ("run --pool-idle -1", "--pool-idle -1 must be 0 or more"),
    ("run --pool-max 0", "--pool-max 0 must be at least 1"),
    ("run --requests-per-connection 0", "must be at least 1"),
    ("run --response-size large", "--response-size large: 'large' is not a size; write 2, 100KiB"),
    ("run --response-size 10-1", "--response-size 10-1 starts above its end"),
    ("run --response-size 100GiB", "--response-size 100GiB is more than 4 GiB"),
    ("run --delay slow", "--delay slow is not understood; write 5ms"),
    ("run --delay uniform:9ms-1ms", "--delay uniform:9ms-1ms starts above its end"),
    ("run --delay exponential:0s", "has a mean of nothing"),
    ("run --backend-close maybe", "--backend-close maybe is not understood; write at-once"),
    ("run --fail reset:0", "--fail reset:0 is not understood; write reset:100"),
    ("run --backend-idle-timeout 0", "--backend-idle-timeout 0 must be a number above 0"),
    ("run --target ftp://x", "--target ftp://x must be an http:// or https:// URL"),
    ("run --load-workers 100", "--load-workers 100 is more than --connections 64; each worker"),
    ("run fine.toml --load-workers 9", "--load-workers 9 is more than load.connections = 8; each worker"),
    ("run -c0", "bench: -c 0 must be at least 1"),
    ("run --connections=0", "bench: --connections 0 must be at least 1"),
    ("run -c 5 --connections x", "invalid value for '--connections': 'x' is not a valid integer"),
    # What has no effect beside something else
    ("run --target http://x --subject nginx", "--subject nginx has no effect beside --target http://x"),
    ("run --target http://x --subject asyncio", "--subject asyncio has no effect beside --target http://x"),
    ("run --target http://x --closes-first proxy", "--closes-first proxy has no effect beside --target"),
    ("run --target http://x --lab loopback", "--lab loopback has no effect beside --target"),
    ("run --target http://x --delay 5ms", "--delay 5ms has no effect beside --target"),
    ("run --target http://x --backend-kind raw", "--backend-kind raw has no effect beside --target"),
    ("run --target http://x --pool-max 4", "--pool-max 4 has no effect beside --target"),
    ("run --target http://x --ports 2000", "--ports 2000 has no effect beside --target"),
    ("run --target http://x --sysctl a=1", "--sysctl a=1 has no effect beside --target"),
    ("run --target http://x --client-mode short", "own connections; set --mode short for new ones"),
    ("run target.toml", "subject.pool_idle = 4 has no effect beside subject.target = 'http://x'"),
    ("run --subject direct --pool-idle 4", "--pool-idle 4 has no effect beside --subject direct"),
    ("run --subject direct --client-mode short", "--client-mode short has no effect beside --subject direct"),
    (
        "run --mode keepalive --closes-first proxy",
        "--closes-first proxy has no effect beside --mode keepalive",
    ),
    ("run --mode short --pool-idle 9", "--pool-idle 9 has no effect beside --mode short: a connection with"),
    ("prove a.conf --pairs 4", "--pairs 4 has no effect without --load; add it or leave --pairs out"),
    ("prove a.conf -d 1s --locations 2", "-d 1s has no effect without --load"),
    ("scenario run push --dry-run -q", "--dry-run has no effect beside -q; leave one of them out"),
    # show, report, compare, list
    ("show", "missing argument 'RUN'"),
    ("show nowhere", "nowhere: there is no such result; `bench list` names those there are"),
    ("show newer", "newer/run.jsonl:1: is in format 99, and this bench reads format 2; use a newer bench"),
    ("show empty", "empty/run.jsonl:1: not the header of a run: it is empty"),
    ("show garbage", "garbage/run.jsonl:1: not the header of a run: no JSON"),
    ("show header", "header/run.jsonl:1: not the header of a run: machine is missing"),
    ("show mode.toml", "mode.toml:1: not the header of a run"),
    ("report nowhere", "nowhere: there is no such result"),
    ("report reference -o folder", "folder: is a folder; name a file with -o"),
    ("report reference -o missing/x.html", "missing/x.html: cannot be written: No such file or directory"),
    ("compare", "missing argument 'RUN[:CASE]...'"),
    ("compare nowhere", "nowhere: there is no such result"),
    ("compare reference:long", "reference:long: no trial of that mode"),
    ("compare reference:short", "reference:short: one mode only; name a second run"),
    ("compare reference --fail-on fast", "--fail-on 'fast' is no condition; write METRIC OP RATIO"),
    ("compare reference --fail-on nothing<1", "'nothing' is no metric; there are requests_per_s"),
    ("list -o mode.toml", "'mode.toml' is a file"),
    # the others
    ("ceiling 5000", "no such command 'ceiling'"),
    ("sweep", "--vary is missing; name a key and its values, as --vary pool-idle=0,1,2,4,8"),
    ("sweep --vary pool-idle", "--vary 'pool-idle' is not KEY=VALUE,VALUE,..."),
    ("sweep --vary pool=1,2", "--vary pool=1,2: 'pool' is no key of a plan"),
    ("sweep --vary pool-idle=1,many", "--vary pool-idle=1,many: 'many' is not a valid integer"),
    ("sweep --vary pool-idle=1", "is one value"),
    ("sweep --vary connections=1,0", "--vary connections=0: --connections 0 must be at least 1"),
    ("sweep --vary mode=short,fast", "'fast' is not one of 'short', 'keepalive', 'both'"),
    ("sweep --vary trials=1,2", "a cell has as many trials as --trials says"),
    ("sweep --resume nowhere", "nowhere: there is no such result"),
    ("sweep --resume reference", "--resume reference: it is no sweep, but a run"),
    ("sweep --resume reference -c 4", "has no effect beside -c 4"),
    ("sweep plan.toml --resume reference", "--resume has a plan already; leave plan.toml out"),
    ("search", "--require is missing; name what must hold, as --require 'latency_ms.p99<20'"),
    ("search --require fast", "--require 'fast' is no condition"),
    ("search --require nothing<1", "'nothing' is no metric"),
    ("search --require errors<1x", "--require 'errors<1x' is a ratio, and there is nothing to compare with"),
    (
        "search --require errors<1 --rate 5",
        "--rate 5 is what is searched; leave it out, and set --from and --to",
    ),
    ("search --require errors<1 --from 9 --to 9", "--from 9 is not below --to 9"),
    ("search --require errors<1 --mode both", "--mode both has two answers; search for one"),
    (
        "search --require errors<1 --trials 3",
        "--trials 3 has no effect here; leave it out, and set --most-trials",
    ),
    ("size", "missing option '--rate'"),
    ("size --rate 5000", "missing option '--latency'"),
    ("size --rate much --latency 1ms", "'much' is not a rate per second"),
    ("size --rate 0 --latency 1ms", "is not in the range"),
    ("size --rate 5k --latency 1ms --reuse nan", "'nan' is no number; write it as 20 or 0.5"),
    ("size --rate nan --latency 1ms", "'nan' is not a rate per second"),
    ("size --rate inf --latency 1ms", "'inf' is not a rate per second"),
    ("size --rate 5 --latency 0", "'0' is not between 1e-06s and 3600s"),
    ("size --rate 5 --latency 1ms --ports 1", "1 is not in the range 16<=x<=64512"),
    ("size --rate 5 --latency 1ms --reuse 1", "1.0 is not in the range 0.01<=x<=0.9999"),
    ("size --rate 5000000 --latency 1s", "--latency 1s: 5,000,000 requests in flight for each worker"),
    ("incident --trials 0", "0 is not in the range"),
    ("incident --trials 99999999999", "is not in the range"),
    ("incident --trials 999999", "--trials 999999: 999,999 trials of 3 s take 46 days"),
    (f"check a.conf --workers {10**400}", "is not in the range"),
    ("incident --duration soon", "'soon' is not a duration"),
    ("doctor now", "unexpected extra argument (now)"),
    ("check", "name a configuration"),
    ("check nowhere", "nowhere: cannot be read: No such file or directory"),
    ("check --explain NK999", "there is no rule NK999"),
    ("fix", "missing argument 'FILE"),
    ("fix nowhere", "nowhere: cannot be read: No such file or directory"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with everything in it that one can get wrong."""
    for name, text in PLANS.items():
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "latin.toml").write_bytes(b'mode = "caf\xe9"\n')
    (tmp_path / "folder").mkdir()
    for name, text in RUNS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.jsonl").write_text(f"{text}\n" if text else "")
    (tmp_path / "reference").symlink_to(REFERENCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# In a scenario's rows the lab is named: a process with threads, such as this one, cannot enter another.
@pytest.mark.parametrize(("typed", "said"), MISUSE, ids=[typed for typed, _ in MISUSE])
def test_misuse_is_one_line_and_leaves_nothing(typed: str, said: str, place: Path) -> None:
    before = sorted(place.iterdir())
    done = command_line.run(*shlex.split(typed))
    assert said in done.stderr
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("bench")
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "the following arguments are required: --listen"),
        ("--listen x", "--listen 'x' is no address; write HOST:PORT"),
        ("--listen 127.0.0.1:99999", "is no address"),
        ("--listen a:0 --response-size 1KB", "response size '1KB' is not understood; write 2, 100KiB"),
        ("--listen a:0 --delay x", "'x' is no time"),
        ("--listen a:0 --workers 0", "--workers '0' is no whole number from 1"),
        ("--listen a:0 --idle-timeout nan", "--idle-timeout 'nan' is no number of seconds"),
        ("--listen a:0 --requests-per-connection x", "'x' is no whole number from 0"),
        ("--listen a:0 --close x", "close 'x' is not understood; write at-once"),
        ("--listen a:0 --fail x", "failure 'x' is not understood; write reset:N"),
        ("--listen a:0 --kind x", "invalid choice: 'x'"),
        ("--listen a:0 --nosuch", "unrecognized arguments: --nosuch"),
    ],
)
def test_misuse_of_the_backend(typed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert backend(shlex.split(typed)) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert (out, err.count("\n")) == ("", 1)


@needs.in_namespaces
@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("run --sysctl kernel.hostname=x", 2, "only net.* belongs to a network namespace"),
        ("run --sysctl ../x=1", 2, "not a setting of a host"),
        ("run --sysctl net.ipv4.tcp_tw_reuse=banana", 3, "tcp_tw_reuse=banana: the kernel refuses it"),
        ("run --subject nginx@/nowhere", 3, "nginx is not here as /nowhere; install it"),
        ("run --subject nginx@/etc/passwd", 3, "nginx is not here as /etc/passwd"),
        (
            "scenario run tls --subject nginx@/nowhere",
            3,
            "nothing can be measured: plain-new on nginx@/nowhere",
        ),
        ("ab subject=nginx subject=nginx@/nowhere", 3, "nginx is not here as /nowhere; install it"),
        ("run --connections 1000000", 3, "hard limit is"),
        (
            "run --target http://nowhere.invalid/",
            2,
            "--target http://nowhere.invalid/: nowhere.invalid has no",
        ),
        (
            "run -o /dev/null/x",
            2,
            "/dev/null/x: cannot be written to: Not a directory; choose another folder",
        ),
    ],
)
def test_what_shows_once_a_lab_opens_is_one_line_too(
    typed: str, code: int, said: str, tmp_path: Path
) -> None:
    done = bench_process.run(*shlex.split(typed), cwd=tmp_path)
    assert said in done.stderr
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert list(tmp_path.glob("results/*")) == []


def test_a_target_where_nobody_listens_is_named_before_anything_is_written(tmp_path: Path) -> None:
    done = bench_process.run("run", "--target", "http://127.0.0.1:1/", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("bench: --target http://127.0.0.1:1/: nobody listens there")
    assert (done.stdout, done.stderr.count("\n"), list(tmp_path.iterdir())) == ("", 1, [])
