"""Whose directories and files are used: those that no other user could have put there, or exchanged."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import dask.config
import pytest

from jobclusters import job_script
from jobclusters.errors import InvalidRequest
from jobclusters.head.order import Order, read_order
from jobclusters.jobs.logs import make_directory
from jobclusters.registry import credentials, private
from jobclusters.registry.files import ORDER, ClusterFiles, place, root
from jobclusters.registry.names import Presence, claim, directory, names, new_record
from jobclusters.registry.record import Evidence, Liveness, Phase, judge
from jobclusters.testing import ScriptedCluster, ScriptedQueue
from tests.helpers.users import ATTACKER, GROUP, VICTIM, as_user, needs_root
from tests.helpers.waiting import PATIENCE


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home():
    """A home that others can reach; pytest's own are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="jobclusters-test-"))
    path.chmod(0o755)
    if os.getuid() == 0:
        os.chown(path, VICTIM, GROUP)
    with dask.config.set({"jobclusters.directory": str(path / ".jobclusters")}):
        yield path
    shutil.rmtree(path)


@pytest.fixture
def user(home):
    """Do something as the user whose home it is."""
    return lambda function, *arguments, **how: (
        as_user(VICTIM, function, *arguments, **how) if os.getuid() == 0 else function(*arguments)
    )


@pytest.fixture(autouse=True)
def warn_anew(monkeypatch):
    monkeypatch.setattr(private, "_warned", set())


class Evil:
    """Runs code of its maker's as whoever reads it."""

    def __init__(self, mark):
        self._mark = str(mark)

    def __reduce__(self):
        return (os.system, (f"touch {self._mark}",))


# -- made --------------------------------------------------------------------------------------------------------


def begin_unnamed():
    """Do what the first cluster of a user does, which has no name."""
    files = place(None, "slurm")
    credentials.Credentials(credentials.make(), files).put()
    files.append("jobs.jsonl", "{}")


@pytest.mark.parametrize("umask", [0, 0o002, 0o022, 0o077])
def test_every_level_is_its_owners_alone_whatever_the_umask(tmp_path, umask):
    with dask.config.set({"jobclusters.directory": str(tmp_path / "new" / "deeper")}):
        before = os.umask(umask)
        try:
            begin_unnamed()
        finally:
            os.umask(before)
        made = list((tmp_path / "new").rglob("*"))
    assert {oct(mode(path)) for path in made if path.is_dir()} == {oct(0o700)}
    assert {oct(mode(path)) for path in made if path.is_file()} == {oct(0o600)}
    assert mode(tmp_path / "new") == 0o700


# -- refused -----------------------------------------------------------------------------------------------------


def every_use(name="prod"):
    """Give all that reads or writes a cluster's directory."""
    files = directory(name)
    return {
        "names": names,
        "record": files.record,
        "claim": lambda: claim(new_record(name, "local", "process")),
        "write": lambda: files.write("x", "y"),
        "append": lambda: files.append("jobs.jsonl", "{}"),
        "update": lambda: files.update(new_record(name, "local", "process")),
        "beat": files.beat,
        "load": lambda: credentials.load(files),
        "put": lambda: credentials.Credentials(credentials.make(), files).put(),
        "secrets": files.remove_secrets,
    }


@pytest.mark.parametrize("use", every_use())
@pytest.mark.parametrize("level", [".jobclusters", ".jobclusters/clusters", ".jobclusters/clusters/prod"])
def test_what_others_may_write_is_refused_with_the_command_that_mends_it(home, user, level, use):
    user(lambda: claim(new_record("prod", "local", "process")))
    (home / level).chmod(0o770)
    if (use, level) == ("names", ".jobclusters/clusters/prod"):
        return  # it doesn't look into it
    with pytest.raises(InvalidRequest) as raised:
        user(every_use()[use])
    problem, _, command = str(raised.value).rpartition(": ")
    assert "others than you may write to" in problem
    subprocess.run(command, shell=True, check=True)
    assert user(lambda: directory("prod").record()).name == "prod"


def test_a_directory_that_others_may_only_read_is_closed(home, user):
    user(lambda: claim(new_record("prod", "local", "process")))
    for path in (home / ".jobclusters/clusters", home / ".jobclusters/clusters/prod"):
        path.chmod(0o755)
    user(lambda: directory("prod").make())
    assert mode(home / ".jobclusters/clusters/prod") == mode(home / ".jobclusters/clusters") == 0o700


@needs_root
def test_a_member_of_ones_group_plants_nothing(home, user, tmp_path):
    """As with umask 002, by version 0.1: the attacker exchanges ``clusters``, and a list would unpickle theirs."""
    user(lambda: claim(new_record("prod", "local", "process")))
    (home / ".jobclusters").chmod(0o775)

    def attack():
        clusters = home / ".jobclusters/clusters"
        clusters.rename(home / ".jobclusters/x")
        evil = clusters / "evil"
        evil.mkdir(parents=True)
        (evil / "entry.json").symlink_to("../../x/prod/entry.json")
        (evil / "security.pickle").write_bytes(pickle.dumps(Evil(home / "ran")))
        (evil / "security.json").write_text("{}")

    as_user(ATTACKER, attack)
    for use in (names, lambda: directory("evil").record(), lambda: credentials.load(directory("evil"))):
        with pytest.raises(InvalidRequest):
            user(use)
    (home / ".jobclusters").chmod(0o755)  # the command alone doesn't make it theirs
    for use in (names, lambda: directory("evil").record(), lambda: credentials.load(directory("evil"))):
        with pytest.raises(InvalidRequest, match=f"user {ATTACKER}"):
            user(use)
    assert not (home / "ran").exists()


@needs_root
@pytest.mark.parametrize("what", ["directory", "clusters", "key", "record"])
def test_what_belongs_to_another_user_is_refused(home, user, what):
    def begin():
        claim(new_record("prod", "local", "process"))
        credentials.Credentials(credentials.make(), directory("prod")).put()

    user(begin)
    clusters = home / ".jobclusters/clusters"
    theirs = {"directory": "prod", "clusters": "", "key": "prod/tls-key.pem", "record": "prod/entry.json"}[what]
    (clusters / "prod").chmod(0o755)
    clusters.chmod(0o755)
    (home / ".jobclusters").chmod(0o755)
    (clusters / theirs).chmod(0o755)
    os.chown(clusters / theirs, ATTACKER, GROUP)
    with pytest.raises(InvalidRequest, match=f"user {ATTACKER}"):
        user(lambda: (directory("prod").record(), credentials.load(directory("prod"))))


@needs_root
def test_a_link_of_another_users_on_the_way_is_refused(user, home):
    shared = Path(tempfile.mkdtemp(prefix="jobclusters-test-"))
    try:
        shared.chmod(0o1777)
        as_user(ATTACKER, lambda: (shared / "jc").symlink_to(home))
        with dask.config.set({"jobclusters.directory": str(shared / "jc" / ".jobclusters")}):
            with pytest.raises(InvalidRequest, match=f"jc is a symbolic link of user {ATTACKER}"):
                user(lambda: claim(new_record("prod", "local", "process")))
            os.unlink(shared / "jc")
            as_user(VICTIM, lambda: (shared / "jc").symlink_to(home))
            assert user(lambda: claim(new_record("prod", "local", "process"))) is None
    finally:
        shutil.rmtree(shared)


@needs_root
def test_a_place_that_another_user_has_made_first_is_refused(user, home):
    shared = Path(tempfile.mkdtemp(prefix="jobclusters-test-"))
    try:
        shared.chmod(0o1777)
        as_user(ATTACKER, lambda: (shared / "clusters").mkdir(0o755))
        with dask.config.set({"jobclusters.directory": str(shared)}):
            for use in (names, lambda: claim(new_record("prod", "local", "process"))):
                with pytest.raises(InvalidRequest, match=f"clusters belongs to user {ATTACKER}; set jobclusters.dir"):
                    user(use)
    finally:
        shutil.rmtree(shared)


def test_a_link_in_a_clusters_place_is_no_cluster(tmp_path):
    with dask.config.set({"jobclusters.directory": str(tmp_path)}):
        claim(new_record("prod", "local", "process"))
        (tmp_path / "clusters/evil").symlink_to(tmp_path / "clusters/prod")
        assert names() == ["prod"]
        with pytest.raises(InvalidRequest, match="evil"):
            directory("evil").make()
        with pytest.raises(InvalidRequest, match="can't be read"):
            directory("evil").record()


@pytest.mark.parametrize("name", ["entry.json", "jobs.jsonl", "tls-key.pem", ORDER, "security.json"])
@pytest.mark.parametrize("how", ["link", "pipe", "open"])
def test_a_file_that_is_none_of_ours_is_not_read(tmp_path, name, how):
    with dask.config.set({"jobclusters.directory": str(tmp_path / "j")}):
        claim(new_record("prod", "local", "process"))
        path = directory("prod").path / name
        path.unlink(missing_ok=True)
        (tmp_path / "target").write_text("{}")
        if how == "link":
            path.symlink_to(tmp_path / "target")
        elif how == "pipe":
            os.mkfifo(path)
        else:
            path.write_text("{}")
            path.chmod(0o666)
        done = []

        def read():
            with pytest.raises((InvalidRequest, OSError)):
                directory("prod").read(name)
            done.append(True)

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        reading.join(PATIENCE)
        assert done


def test_a_place_below_what_everybody_may_write_is_refused(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with dask.config.set({"jobclusters.directory": str(tmp_path / "open" / "mine")}):
        with pytest.raises(InvalidRequest, match=r"others than you may write to \S+/open, .*chmod go-w \S+/open$"):
            claim(new_record("prod", "local", "process"))
        assert not (tmp_path / "open" / "mine").exists()
        with pytest.raises(InvalidRequest, match="chmod go-w"):
            place(None, "slurm", str(tmp_path / "open")).make()
        (tmp_path / "open").chmod(0o1777)  # as /tmp
        assert claim(new_record("prod", "local", "process")) is None


@needs_root
def test_a_projects_directory_is_warned_of_once(user, home, caplog):
    """A group may write there by the site's wish, and its members could exchange what is below."""
    project = Path(tempfile.mkdtemp(prefix="jobclusters-test-"))
    try:
        (project / "me").mkdir()
        os.chown(project / "me", VICTIM, GROUP)
        os.chown(project, 0, GROUP)
        project.chmod(0o2770)

        def use():
            with dask.config.set({"jobclusters.directory": str(project / "me" / "jc")}):
                for name in "ab":
                    assert claim(new_record(name, "local", "process")) is None
            return [record.getMessage() for record in caplog.records]

        (warning,) = user(use)
        assert warning == f"The group {GROUP} may write to {project}, and could exchange what is below it."
        project.chmod(0o777)
        with pytest.raises(InvalidRequest, match=f"everybody may write in {project}"):
            user(use)
    finally:
        shutil.rmtree(project)


def test_a_log_directory_that_everybody_could_exchange_is_warned_of(tmp_path, caplog):
    (tmp_path / "open").mkdir()
    make_directory(str(tmp_path / "open" / "logs"))
    assert not caplog.records
    (tmp_path / "open").chmod(0o777)
    for _ in range(2):
        make_directory(str(tmp_path / "open" / "logs"))
    assert [record.getMessage() for record in caplog.records] == [
        f"Everybody on this system may write to {tmp_path}/open, and could exchange what is below it."
    ]


# -- no pickle is read from disk -----------------------------------------------------------------------------------


def test_a_pickle_beside_the_keys_is_not_read(tmp_path):
    files = ClusterFiles(tmp_path / "clusters" / "mine")
    security = credentials.make()
    credentials.Credentials(security, files).put()
    files.write("security.pickle", pickle.dumps(Evil(tmp_path / "ran")))
    assert credentials.load(files).tls_ca_file == str(files.path / "tls-ca.pem")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"tls_min_version": 99999}', '{"require_encryption'])
def test_what_is_no_description_of_keys_is_reported(tmp_path, text):
    files = ClusterFiles(tmp_path / "mine")
    files.make()
    files.write("security.json", text)
    with pytest.raises(InvalidRequest, match="the cluster's credentials can't be read"):
        credentials.load(files)


def test_a_users_own_credentials_are_found_again(tmp_path):
    files = ClusterFiles(tmp_path / "mine")
    files.make()
    made = credentials.make()
    made.tls_worker_key = "/site/key.pem"
    made.extra_conn_args = {"headers": object()}
    files.write("security.json", credentials.to_json(made))
    found = credentials.load(files)
    assert (found.tls_worker_key, found.tls_client_key) == ("/site/key.pem", made.tls_client_key)
    assert (found.require_encryption, found.tls_min_version) == (True, made.tls_min_version)
    files.remove_secrets()
    assert list(files.path.iterdir()) == []


def test_a_head_makes_what_was_asked_for_and_nothing_else(tmp_path, monkeypatch):
    files = ClusterFiles(tmp_path / "mine")
    files.make()
    monkeypatch.chdir(tmp_path)
    digest = Order(cls=dict, keywords={"a": 1}, config={"b": {}}, directory=str(tmp_path), lifetime=3.0).write(files)
    found = read_order(files, digest)
    assert (found.cls, found.keywords, found.config, found.lifetime) == (dict, {"a": 1}, {"b": {}}, 3.0)
    Order(cls=dict, keywords={"a": Evil(tmp_path / "ran")}, config={}, directory="/").write(files)
    for each in (digest, ""):
        with pytest.raises(InvalidRequest, match=r"order.json is not what this head was started with"):
            read_order(files, each)
    assert not (tmp_path / "ran").exists()
    files.remove_secrets()
    with pytest.raises(InvalidRequest, match="start the cluster again"):
        read_order(files, digest)


# -- signs of life -------------------------------------------------------------------------------------------------


def no_room(*_, **__):
    raise OSError(28, "No space left on device")


def test_where_no_file_can_be_made_no_silence_is_heard(monkeypatch):
    """A quota of files is used up, or the file system is read-only: the directory is old, the sign of life is not."""
    record = replace(new_record("a", "slurm", "process"), host="another", phase=Phase.RUNNING)
    assert claim(record) is None
    files = directory("a")
    os.utime(files.path, (0, 0))
    monkeypatch.setattr(private.Directory, "create", no_room)
    assert files.silence() < 60
    os.utime(files.path / "entry.json", (0, 0))  # by a clock that differs
    assert judge(record, Evidence(answers=False, silence=files.silence()))[0] is Liveness.SILENT


def test_a_directory_that_was_removed_is_made_again_with_all(monkeypatch):
    first = Presence(directory("a"), new_record("a", "local", "process"))
    assert claim(first.record) is None
    assert not first.restore()
    shutil.rmtree(root())
    assert first.restore()
    assert directory("a").record() == first.record
    assert claim(new_record("b", "local", "process")) is None
    shutil.rmtree(directory("a").path)
    other = new_record("a", "local", "process")
    assert claim(other) is None
    assert not first.restore()
    assert directory("a").record() == other


def test_a_mark_is_one_processs_until_that_is_dead():
    files = directory("a")
    files.make()
    assert files.take_mark(".swept", 60)
    assert not files.take_mark(".swept", 60)
    os.utime(files.path / ".swept", (0, 0))
    assert files.take_mark(".swept", 60)
    files.touch_mark(".swept")
    assert not files.take_mark(".swept", 60)
    files.remove_mark(".swept")
    assert files.take_mark(".swept", 60)


# -- lines ---------------------------------------------------------------------------------------------------------


def test_a_line_that_was_written_by_halves_swallows_no_other():
    files = directory("a")
    files.make()
    files.append("jobs.jsonl", "1")
    with (files.path / "jobs.jsonl").open("a") as file:
        file.write("half")
    files.append("jobs.jsonl", "2")
    files.append("jobs.jsonl", "3\n4")
    assert files.read("jobs.jsonl").decode().splitlines() == ["1", "half", "2", "3", "4"]


# -- Dask's own directory in /tmp --------------------------------------------------------------------------------------


@pytest.fixture
def tmp(monkeypatch):
    """A /tmp that everybody may write to."""
    path = Path(tempfile.mkdtemp(prefix="jobclusters-test-"))
    path.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    shutil.rmtree(path)


@needs_root
@pytest.mark.parametrize("attack", ["directory", "link", "file", "open", None])
def test_no_module_is_imported_from_a_directory_that_another_user_has_made(tmp, attack):
    """Dask puts its scratch directory before all others on the path of schedulers and nannies."""
    for name in ("dask-scratch-space", f"dask-scratch-space-{VICTIM}"):
        if attack == "directory":
            as_user(ATTACKER, (tmp / name).mkdir, 0o777, umask=0)
        if attack == "link":
            as_user(VICTIM, (tmp / f"own-{name}").mkdir)
            as_user(ATTACKER, (tmp / name).symlink_to, tmp / f"own-{name}")
        if attack == "file":
            as_user(ATTACKER, (tmp / name).write_text, "")
        if attack == "open":  # as Dask itself makes it with a umask of 002
            as_user(VICTIM, (tmp / name).mkdir, 0o775, umask=0)

    def look(path):
        return path, os.path.islink(path), os.stat(path).st_uid, stat.S_IMODE(os.stat(path).st_mode)

    lines = job_script("local", cores=1, memory="1 GiB").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("scratch="))
    asked = "\n".join([*lines[first : first + 4], 'printf %s "$DASK_TEMPORARY_DIRECTORY"'])

    def scripts():
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp)}
        return subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True, check=True).stdout

    for path in as_user(VICTIM, private.scratch), as_user(VICTIM, scripts):
        found, link, owner, mode = as_user(VICTIM, look, path)
        assert Path(found).parent == tmp
        assert (link, owner, mode) == (False, VICTIM, 0o700)
        assert (Path(found).name == f"dask-scratch-space-{VICTIM}") is (attack in ("open", None))


def test_a_scheduler_has_a_directory_of_its_users_own(tmp):
    (tmp / "dask-scratch-space").mkdir()
    with ScriptedCluster(ScriptedQueue(hold=True), cores=1, memory="1 GiB") as cluster:
        assert Path(cluster.scheduler.local_directory).parent == tmp / f"dask-scratch-space-{os.getuid()}"


def test_a_directory_that_is_named_is_used_as_it_is(tmp):
    with dask.config.set({"temporary-directory": str(tmp / "mine")}):
        assert "scratch" not in job_script("slurm", cores=1, memory="1 GiB")
        with ScriptedCluster(ScriptedQueue(hold=True), cores=1, memory="1 GiB") as cluster:
            assert Path(cluster.scheduler.local_directory).parent == tmp / "mine" / "dask-scratch-space"
    for keywords in {"local_directory": "/scratch/me"}, {"worker_options": {"local_directory": "/scratch/me"}}:
        assert "scratch=" not in job_script("slurm", cores=1, memory="1 GiB", **keywords)
