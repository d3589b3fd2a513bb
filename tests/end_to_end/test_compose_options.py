# SPDX-License-Identifier: GPL-2.0-or-later
"""Every option of `compose tree`, by real runs of the real command."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.shale import NEWEST, REF, Bench, greeter, ostree
from tests.support.rpms import make_repo, repo_file, rpm

NO_CHANGES = "No apparent changes since previous commit; use --force-nocache to override\n"


def test_a_commit_is_made_once(bench: Bench) -> None:
    first = bench.compose()
    commit = bench.commit()
    assert first.stdout == f"{REF} => {commit}\n"
    bench.check()
    before = bench.state()
    assert bench.compose().stdout == NO_CHANGES
    assert bench.state() == before
    assert bench.packages() == ["filesystem", "greeter", "kernel", "libstone", "setup", "shale-release", "shell"]


def test_what_scripts_did_is_in_the_commit(bench: Bench) -> None:
    bench.compose()
    read = {name: bench.cat(f"/usr/etc/{name}") for name in ("greeter.made", "greeter.lua", "stone.seen")}
    assert read == {"greeter.made": "made of 1\n", "greeter.lua": "lua\n", "stone.seen": "greeter came\n"}
    assert bench.cat("/usr/etc/stone.cache").split() == ["/usr/lib/libstone.so.3", "/usr/lib/libstone.so.3.1"]
    lines = bench.paths()
    assert lines["/usr/bin/greet-root"].startswith("-04755 0 0")
    assert lines["/usr/share/greeter/words"].startswith("-00640 400 400")
    assert lines["/usr/share/greeter"].startswith("d00750 0 400")
    listed = ostree(bench.repo, "ls", "-X", REF, "/usr/bin/greet")
    assert "security.capability" in listed
    assert bench.cat("/usr/lib/rpm-ostree/tmpfiles.d/greeter.conf") == "d /var/lib/greeter 0700 greeter greeter - -\n"


@pytest.mark.parametrize("mode", ["archive", "bare", "bare-user"])
def test_each_mode_of_repository_gets_the_same_commit(bench: Bench, mode: str) -> None:
    bench.compose()
    expected = bench.commit()
    bench.init(mode)
    bench.compose()
    assert bench.commit() == expected
    bench.check()
    target = bench.top / "checkout"
    ostree(bench.repo, "checkout", *(["--user-mode"] if mode == "bare-user" else []), REF, str(target))
    assert (target / "usr/share/greeter/words").read_text() == "hello 2.0~rc1\n"
    if mode != "bare-user":
        assert (target / "usr/share/greeter/words").stat().st_uid == 400
        assert "security.capability" in os.listxattr(target / "usr/bin/greet")


@pytest.mark.parametrize("mode", ["bare-user-only", "bare-split-xattrs"])
def test_a_mode_that_loses_owners_is_refused(bench: Bench, mode: str) -> None:
    config = bench.repo / "config"
    config.write_text(config.read_text().replace("mode=bare\n", f"mode={mode}\n"))
    assert mode in bench.compose(status=3).stderr


def test_without_a_cachedir_nothing_is_left(bench: Bench) -> None:
    bench.compose(cached=False)
    assert bench.state()["scratch"] == []
    assert not bench.cachedir.exists()
    bench.check()
    assert bench.compose(cached=False).stdout == NO_CHANGES


def test_force_nocache_composes_again_to_the_same_tree(bench: Bench) -> None:
    bench.compose()
    first = bench.commit()
    bench.compose("--force-nocache", "--no-parent")
    assert bench.commit() == first
    bench.compose("--force-nocache")
    assert bench.commit() != first
    assert ostree(bench.repo, "rev-parse", f"{REF}^").strip() == first


def test_a_newer_package_and_a_changed_treefile_are_changes(bench: Bench) -> None:
    bench.compose()
    first = bench.commit()
    where = bench.add_repo("updates", [greeter("2.0")])
    bench.compose()
    second = bench.commit()
    assert bench.cat("/usr/share/greeter/words") == "hello 2.0\n"
    assert ostree(bench.repo, "rev-parse", f"{REF}^").strip() == first
    bench.treefile["documentation"] = False
    bench.compose()
    assert bench.commit() != second
    assert "/usr/share/man/man7/shale.7" not in bench.paths()
    assert "/usr/share/man/man7/shale.7" in bench.paths(second)
    make_repo(where, [greeter("2.0", post="echo other >/etc/greeter.made")], key=bench.shale.key)  # the same NEVRA
    bench.compose()
    assert bench.cat("/usr/etc/greeter.made") == "other\n"
    bench.check()


def test_dry_run_prints_and_leaves_everything(bench: Bench) -> None:
    before = bench.state()
    done = bench.compose("--dry-run")
    assert done.stdout.splitlines()[0] == "Installing 7 packages:"
    assert "  greeter-1:2.0~rc1-1.noarch (shale)" in done.stdout.splitlines()
    assert bench.state() == before
    assert not list((bench.cachedir / "pkgcache-repo/refs/heads").iterdir())


def test_print_only_needs_no_repository(bench: Bench) -> None:
    bench.treefile |= {"ref": "shale/${basearch}/${channel}", "variables": {"channel": "next"}}
    (bench.top / "more.yaml").write_text("packages: [manual]\n")
    bench.treefile["include"] = "more.yaml"
    argv = [word for word in bench.argv("--print-only", cached=False) if not word.startswith("--repo")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert document["ref"] == f"shale/{os.uname().machine}/next"
    assert document["packages"] == ["greeter", "kernel", "manual"]
    assert "variables" not in document
    assert "include" not in document


def test_files_elsewhere_must_be_allowed(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/more.yaml").write_text("osname: more\n")
    bench.treefile["include"] = str(tmp_path / "shared/more.yaml")
    refused = bench.compose("--print-only", status=3)
    assert f"--allow-outside={tmp_path / 'shared'}" in refused.stderr
    assert "more" in bench.compose("--print-only", f"--allow-outside={tmp_path}").stdout


def test_keys_that_say_what_is_recorded(bench: Bench) -> None:
    def recorded(key: str) -> bool:
        return f"'{key}'" in ostree(bench.repo, "show", "--raw", REF)

    bench.compose()
    assert recorded("rpmostree.rpmmd-repos")
    assert recorded("rpmostree.advisories")
    bench.treefile |= {"repo-metadata": "disabled", "advisories-metadata": "disabled", "container-cmd": ["/bin/sh"]}
    bench.compose()
    assert not recorded("rpmostree.rpmmd-repos")
    assert not recorded("rpmostree.advisories")
    assert ostree(bench.repo, "show", "--print-metadata-key=ostree.container-cmd", REF).strip() == "['/bin/sh']"


def test_programs_that_finalize(bench: Bench) -> None:
    program = bench.top / "finalize.d/10-mark"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ntest -d "$RPMOSTREE_WORKDIR" && echo "$PWD" >/dev/null && echo mine >usr/lib/mark\necho ran'
    )
    bench.compose()  # it can't be executed yet
    assert "/usr/lib/mark" not in bench.paths()
    program.chmod(0o755)
    assert "10-mark: ran" in bench.compose().stderr
    assert bench.cat("/usr/lib/mark") == "mine\n"
    program.write_text("#!/bin/sh\necho other >usr/lib/mark\n")  # a change of it alone is a change
    bench.compose()
    assert bench.cat("/usr/lib/mark") == "other\n"
    before = bench.state()
    program.write_text("#!/bin/sh\necho too bad\nexit 3\n")
    refused = bench.compose(status=7)
    assert "finalize.d/10-mark" in refused.stderr
    assert "too bad" in refused.stderr
    assert bench.state() == before


def test_variables_of_repo_files(bench: Bench) -> None:
    repo = bench.top / "shale.repo"
    repo.write_text(repo.read_text().replace(str(bench.shale.repository), "$where/rpms"))
    bench.treefile["repovars"] = {"where": str(bench.shale.repository.parent)}
    bench.compose()
    assert "greeter" in bench.packages()


def test_lockfile_repos_give_what_is_locked_and_nothing_else(bench: Bench) -> None:
    bench.add_repo("pool", [greeter("2.1"), greeter("2.5"), rpm("manual", version="9")])
    bench.treefile |= {"repos": ["shale"], "lockfile-repos": ["pool"], "packages": ["greeter", "kernel", "manual"]}
    lock = bench.top / "lock.json"
    lock.write_text(json.dumps({"packages": {"greeter": {"evra": "1:2.1-1.noarch"}}}))
    locked = bench.compose("--dry-run", f"--ex-lockfile={lock}").stdout
    assert "greeter-1:2.1-1.noarch" in locked
    assert "manual-9" not in locked
    free = bench.compose("--dry-run").stdout  # without a lockfile they are not looked at
    assert "greeter-1:2.0~rc1-1.noarch" in free


def test_download_only_imports_and_stops(bench: Bench) -> None:
    before = bench.state()
    done = bench.compose("--download-only")
    assert done.stdout == ""
    assert bench.state() == before
    shutil.rmtree(bench.cachedir / "rpm-md/packages", ignore_errors=True)
    hidden = bench.shale.repository.rename(bench.shale.repository.with_name("hidden"))
    try:
        (bench.shale.repository).mkdir()
        shutil.copytree(hidden / "repodata", bench.shale.repository / "repodata")
        bench.compose()  # without any RPM
    finally:
        shutil.rmtree(bench.shale.repository)
        hidden.rename(bench.shale.repository)
    bench.check()


@contextmanager
def served(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a web server for the directory, and the requests that it got."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            asked.append(str(words[1]))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_cache_only_asks_no_network(bench: Bench) -> None:
    with served(bench.shale.repository) as (address, asked):
        repo_file(bench.top / "shale.repo", "shale", address, gpgcheck=True, gpgkey=bench.shale.key)
        assert bench.compose("--cache-only", status=5).stdout == ""  # there is no cache yet
        assert asked == []
        bench.compose()
        assert len([line for line in asked if ".rpm" in line]) == 7
        asked.clear()
        bench.compose("--cache-only", "--force-nocache")
        assert asked == []
    done = bench.compose("--cache-only", "--force-nocache")  # the server is gone
    assert "=>" in done.stdout
    bench.compose("--force-nocache", status=5)
    bench.check()


def test_proxy_is_used(bench: Bench) -> None:
    repo_file(bench.top / "shale.repo", "shale", "http://shale.invalid", gpgcheck=True, gpgkey=bench.shale.key)
    with served(bench.shale.repository) as (address, asked):
        bench.compose("--dry-run", f"--proxy={address}", status=5)
        assert any("http://shale.invalid/repodata/repomd.xml" in line for line in asked)


def test_touch_if_changed(bench: Bench) -> None:
    stamp = bench.top / "changed"
    bench.compose("--dry-run", f"--touch-if-changed={stamp}")
    bench.compose("--download-only", f"--touch-if-changed={stamp}")
    assert not stamp.exists()
    bench.compose(f"--touch-if-changed={stamp}")
    assert stamp.exists()
    os.utime(stamp, (1, 1))
    bench.compose(f"--touch-if-changed={stamp}")
    assert stamp.stat().st_mtime == 1
    bench.compose("--force-nocache", f"--touch-if-changed={stamp}")
    assert stamp.stat().st_mtime > 1


def test_previous_commit_is_compared_with(bench: Bench) -> None:
    bench.compose()
    first = bench.commit()
    bench.treefile["documentation"] = False
    bench.compose()
    second = bench.commit()
    del bench.treefile["documentation"]
    assert bench.compose(f"--previous-commit={first}").stdout == NO_CHANGES
    assert bench.commit() == second
    missing = f"{'0' * 64}"
    assert missing in bench.compose(f"--previous-commit={missing}", status=8).stderr
    bench.compose()
    assert bench.commit() not in (first, second)


def test_metadata_from_treefile_file_and_command_line(bench: Bench) -> None:
    bench.treefile["add-commit-metadata"] = {"from.treefile": "t", "twice": "t", "thrice": "t", "flag": True}
    document = bench.top / "metadata.json"
    document.write_text(json.dumps({"twice": "j", "thrice": "j", "list": [1, "x"], "map": {"a": 1.5, "b": 2}}))
    bench.compose(
        f"--add-metadata-from-json={document}",
        "--add-metadata-string=thrice=c=c",
        "--add-metadata-string=version=7.1",
        "--add-metadata-string=empty=",
    )
    keys = ("from.treefile", "twice", "thrice", "empty", "version", "flag")
    found = {key: ostree(bench.repo, "show", f"--print-metadata-key={key}", REF).strip() for key in keys}
    assert found == {
        "from.treefile": "'t'", "twice": "'j'", "thrice": "'c=c'", "empty": "''", "version": "'7.1'", "flag": "true",
    }  # fmt: skip
    assert ostree(bench.repo, "show", "--print-metadata-key=map", REF).strip() == "{'a': <1.5>, 'b': <int64 2>}"
    assert ostree(bench.repo, "show", "--print-metadata-key=list", REF).strip() == "[<int64 1>, <'x'>]"
    bench.check()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[1]", "1:1"), ("{", "1:2"), ('{"a": null}', "1:7"), ('{"a": 99999999999999999999}', "1:7"),
        ('{"a": NaN}', "1:7"), ("[" * 100_000, "1:66"), ('{"a": 1, "a": 2}', "1:10"), ('{"b": {"a": [null]}}', "1:7"),
    ],
)  # fmt: skip
def test_metadata_that_can_not_be_stored_is_refused(bench: Bench, text: str, place: str) -> None:
    document = bench.top / "metadata.txt"
    document.write_text(text)
    refused = bench.compose(f"--add-metadata-from-json={document}", status=3).stderr
    assert f"{document}:{place}: " in refused
    assert bench.refs() == {}


@pytest.mark.parametrize("value", [None, 2**63, [None]])
def test_metadata_of_a_treefile_that_can_not_be_stored_is_refused(bench: Bench, value: object) -> None:
    bench.treefile = {"add-commit-metadata": {"a": value}, **bench.treefile}
    assert f"{bench.treefile_path}:1:25: " in bench.compose(status=3).stderr


def test_write_commitid_leaves_the_branch(bench: Bench) -> None:
    bench.compose()
    first = bench.commit()
    written = bench.top / "commitid"
    done = bench.compose("--force-nocache", f"--write-commitid-to={written}")
    commit = written.read_text().strip()
    assert done.stdout == f"Wrote commit: {commit}\n"
    assert bench.commit() == first
    assert ostree(bench.repo, "rev-parse", f"{commit}^").strip() == first
    bench.check()


def test_without_a_ref_there_is_only_a_commit(bench: Bench) -> None:
    del bench.treefile["ref"]
    done = bench.compose()
    commit = done.stdout.removeprefix("Wrote commit: ").strip()
    assert bench.refs() == {}
    assert "/usr/bin/greet" in bench.paths(commit)


def test_composejson_says_what_ostree_says(bench: Bench) -> None:
    written = bench.top / "compose.json"
    bench.treefile["automatic-version-prefix"] = "12"
    bench.compose(f"--write-composejson-to={written}")
    document = json.loads(written.read_text())
    shown = dict(line.split(":", 1) for line in ostree(bench.repo, "show", REF).splitlines() if ":" in line)
    assert document["ostree-commit"] == bench.commit()
    assert document["ostree-content-checksum"] == shown["ContentChecksum"].strip()
    assert document["ref"] == REF
    assert document["ostree-version"] == "12"
    assert document["ostree-timestamp"] == "2023-11-14T22:21:40Z"
    assert NEWEST == 1_700_000_500  # which is that time
    inputhash = ostree(bench.repo, "show", "--print-metadata-key=rpmostree.inputhash", REF).strip()
    assert f"'{document['rpm-ostree-inputhash']}'" == inputhash
    objects = bench.objects()
    content = sum(name.endswith(".file") for name in objects)
    assert document["ostree-n-content-total"] == document["ostree-n-content-written"] == content
    assert document["ostree-n-metadata-total"] == document["ostree-n-metadata-written"] == len(objects) - content
    bench.compose("--force-nocache", f"--write-composejson-to={written}")
    second = json.loads(written.read_text())
    assert second["ostree-version"] == "12.1"
    assert second["ostree-n-content-total"] == content  # the same tree: nothing new but the commit
    assert (second["ostree-n-content-written"], second["ostree-n-metadata-written"]) == (0, 1)
    assert ("pkgdiff" in document, second["pkgdiff"]) == (False, [])
    bench.add_repo("newer", [greeter("9"), rpm("extra")])
    bench.treefile["packages"] = ["greeter", "extra"]
    bench.treefile["container"] = True
    bench.compose(f"--write-composejson-to={written}")
    assert json.loads(written.read_text())["pkgdiff"] == [
        ["extra", 0, {"NewPackage": ["extra", "1.0-1", "noarch"]}],
        ["greeter", 2, {"PreviousPackage": ["greeter", "1:2.0~rc1-1", "noarch"],
                        "NewPackage": ["greeter", "1:9-1", "noarch"]}],
        ["kernel", 1, {"PreviousPackage": ["kernel", "6.0-1", "x86_64"]}],
    ]  # fmt: skip
    bench.compose("--force-nocache", "--no-parent", f"--write-composejson-to={written}")
    assert "pkgdiff" not in json.loads(written.read_text())


def test_parent_and_no_parent(bench: Bench) -> None:
    bench.compose()
    first = bench.commit()
    bench.compose("--force-nocache")
    second = bench.commit()
    bench.compose("--force-nocache", f"--parent={first}")
    third = bench.commit()
    assert third == second  # the same tree, the same parent
    bench.compose("--force-nocache", f"--parent={REF}")
    assert ostree(bench.repo, "rev-parse", f"{REF}^").strip() == third
    bench.compose("--force-nocache", "--no-parent")
    assert bench.commit() == first
    bench.compose("--force-nocache", "--parent=nowhere", status=3)
    bench.compose("--parent=x", "--no-parent", status=2)
    assert bench.commit() == first


def test_lockfile_round_trip(bench: Bench) -> None:
    lock = bench.top / "lock.json"
    bench.compose(f"--ex-write-lockfile-to={lock}")
    document = json.loads(lock.read_text())
    assert document["packages"]["greeter"]["evra"] == "1:2.0~rc1-1.noarch"
    assert document["packages"]["greeter"]["digest"].startswith("sha256:")
    assert sorted(document["packages"]) == sorted(bench.packages())
    bench.add_repo("updates", [greeter("2.0"), rpm("libstone", version="4", requires=["shell"])])
    bench.compose("--dry-run", f"--ex-lockfile={lock}", "--ex-lockfile-strict")
    locked = bench.compose("--dry-run", f"--ex-lockfile={lock}").stdout
    assert "greeter-1:2.0~rc1-1" in locked
    assert "libstone-3.1-1" in locked
    assert "greeter-1:2.0-1" in bench.compose("--dry-run").stdout
    override = bench.top / "override.json"
    override.write_text(json.dumps({"packages": {"greeter": {"evr": "1:2.0-1"}}}))
    both = bench.compose("--dry-run", f"--ex-lockfile={lock}", f"--ex-lockfile={override}").stdout
    assert "greeter-1:2.0-1" in both
    assert "libstone-3.1-1" in both


def test_strict_lockfile_refuses_what_is_not_in_it(bench: Bench) -> None:
    lock = bench.top / "lock.json"
    bench.compose("--dry-run", f"--ex-write-lockfile-to={lock}")
    bench.treefile["packages"] = ["greeter", "kernel", "manual"]
    assert "manual" in bench.compose("--dry-run", f"--ex-lockfile={lock}").stdout
    assert "manual" in bench.compose("--dry-run", f"--ex-lockfile={lock}", "--ex-lockfile-strict", status=4).stderr
    document = json.loads(lock.read_text())
    document["packages"]["libstone"]["evra"] = "9.9-1.noarch"
    lock.write_text(json.dumps(document))
    assert "libstone" in bench.compose("--dry-run", f"--ex-lockfile={lock}", "--ex-lockfile-strict", status=4).stderr
    lock.write_text('{"packages": {"greeter": {"evr": "1"}}, "extra": 1}')
    assert str(lock) in bench.compose("--dry-run", f"--ex-lockfile={lock}", status=3).stderr


def test_a_locked_digest_is_held_to(bench: Bench) -> None:
    lock = bench.top / "lock.json"
    bench.compose("--dry-run", f"--ex-write-lockfile-to={lock}")
    document = json.loads(lock.read_text())
    document["packages"]["greeter"]["digest"] = f"sha256:{'0' * 64}"
    lock.write_text(json.dumps(document))
    assert "greeter" in bench.compose(f"--ex-lockfile={lock}", status=4).stderr
    assert bench.refs() == {}


def test_source_root_brings_repositories(bench: Bench) -> None:
    directory = bench.top / "source/etc/yum.repos.d"
    directory.mkdir(parents=True)
    for path in bench.top.glob("shale.*"):
        path.rename(directory / path.name)
    repo_file(directory / "shale.repo", "shale", bench.shale.repository, gpgcheck=True, gpgkey=bench.shale.key)
    off = repo_file(directory / "off.repo", "off", "http://off.invalid")
    off.write_text(off.read_text().replace("enabled=1", "enabled=0"))
    bench.compose(status=3)
    bench.compose(f"--source-root={bench.top / 'source'}")
    del bench.treefile["repos"]
    bench.compose(f"--source-root={bench.top / 'source'}", "--force-nocache")  # all that are enabled there
    bench.check()


def test_selinux_off_on_the_command_line(bench: Bench) -> None:
    del bench.treefile["selinux"]
    bench.compose("--disable-selinux")
    assert "security.selinux" not in ostree(bench.repo, "ls", "-X", REF, "/usr/bin/greet")


@pytest.mark.parametrize("option", ["--unified-core", "--ex-unified-core"])
def test_unified_core_is_accepted(bench: Bench, option: str) -> None:
    assert bench.compose("--dry-run", option).stdout == bench.compose("--dry-run").stdout


def test_recommends_excludes_and_languages(bench: Bench) -> None:
    bench.treefile |= {"recommends": True, "install-langs": ["de"]}
    bench.compose()
    assert "manual" in bench.packages()
    assert "/usr/share/locale/de/greeter.mo" in bench.paths()
    assert "/usr/share/locale/fr/greeter.mo" not in bench.paths()
    bench.treefile["exclude-packages"] = ["manual"]
    bench.compose()
    assert "manual" not in bench.packages()
    bench.treefile["exclude-packages"] = ["libstone"]
    assert "libstone" in bench.compose(status=4).stderr


def test_json_answer(bench: Bench) -> None:
    answer = json.loads(bench.compose("--json").stdout)
    assert answer["commit"] == bench.commit()
    assert answer["ref"] == REF
    assert len(answer["packages"]) == 7
    bench.treefile["packages"] = ["nowhere"]
    error = json.loads(bench.compose("--json", status=4).stdout)["error"]
    assert (error["class"], error["status"]) == ("SolveError", 4)


def test_the_repository_must_be_named(bench: Bench) -> None:
    argv = [word for word in bench.argv() if not word.startswith("--repo")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--repo" in done.stderr
