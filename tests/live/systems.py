"""The batch systems as the live tests see them: asked by their own commands, apart from what jobclusters reads.

SLURM's, Grid Engine's, HTCondor's and OAR's are run in containers by every ``make test``. PBS's and LSF's come from the transcripts of
OpenPBS 23.06 and openlava 4.0 and from the manuals, and wait for a site that runs them.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from abc import ABC, abstractmethod

from jobclusters.cluster.systems import CLUSTERS

Jobs = dict[str, str]
#: More cores than any node has.
TOO_MANY = 100_000


def call(*argv, unless=None):
    """Give what a command prints; fail if it fails, unless its errors are of this kind."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    harmless = unless and re.search(unless, done.stderr)
    assert done.returncode == 0 or harmless, f"{' '.join(argv)} failed: {done.stderr}{done.stdout}"
    return done.stdout


class System(ABC):
    """One batch system: what its answers mean, and what makes it say no."""

    name: str
    #: The command that shows that one is here.
    probe: str
    #: Directives with which jobs stay pending.
    held: tuple[str, ...]
    #: Whether it has queues; what it says to one that it doesn't have.
    queues = True
    no_queue: str
    #: Whether it tells users which queues there are.
    lists_queues = True
    #: Keywords of a job that can never start, and the reason that shows it.
    impossible: dict[str, object] = {"cores": TOO_MANY}
    never: str
    #: Whether it remembers how jobs ended.
    remembers = True
    #: Whether a cancelled job is warned before it is killed: otherwise what it holds is computed again.
    warns = True
    #: Whether a job's output can be read while it runs.
    shows_output = True
    #: Whether it notices a node that freezes with its connections open.
    notices_frozen = True
    #: Keywords with which jobs outlive a daemon that is down for minutes.
    lasting: dict[str, object] = {}
    #: States of jobs that are about to end, or have.
    over: frozenset[str]
    #: In ci/*-docker: the container of the daemon that answers the commands, how many nodes the queue has, what stands
    #: in their names before their container's, and the directive of a job that is run again if its node fails.
    daemon = ""
    again = ""
    nodes = 0
    prefix = ""
    #: The type of their GPUs.
    gpu = "v100"

    def setting(self, name, default=None):
        """Read ``JOBCLUSTERS_LIVE_<NAME>_<SYSTEM>``, else ``JOBCLUSTERS_LIVE_<NAME>``."""
        variable = f"JOBCLUSTERS_LIVE_{name}"
        return os.environ.get(f"{variable}_{self.name.upper()}") or os.environ.get(variable) or default

    @property
    def cluster(self):
        return CLUSTERS[self.name]

    @property
    def keywords(self):
        """What the environment says of every job here."""
        given = {
            "queue": self.setting("QUEUE"),
            "account": self.setting("ACCOUNT"),
            "interface": self.setting("INTERFACE"),
            "walltime": self.setting("WALLTIME", "00:20:00"),
            "job_extra_directives": [d.strip() for d in self.setting("DIRECTIVES", "").split(";") if d.strip()],
        }
        return {key: value for key, value in given.items() if value}

    @abstractmethod
    def jobs(self, token, *, ended=False) -> Jobs:
        """Give id and state of my jobs whose name holds the token; those that have ended too, as far as it knows."""

    @abstractmethod
    def cancel(self, job_id):
        """Cancel one job, as another user may."""

    @abstractmethod
    def may_run_again(self, job_id):
        """Tell whether it would run this job again if its node failed."""

    def submission(self, job_id):
        """Name the submission that a job came from."""
        return re.match(r"\d+", job_id)[0]

    def living(self, token):
        """Give the ids of the jobs that are pending or running."""
        return [job_id for job_id, state in self.jobs(token).items() if not set(state.split()) & self.over]

    def answers(self):
        """Tell whether its daemon answers."""
        try:
            self.jobs("nothing-of-this-name")
        except (AssertionError, subprocess.TimeoutExpired):
            return False
        return True

    def nodes_up(self):
        """Tell whether all nodes may be used; asked for only where a test may break them."""
        return True


class Slurm(System):
    name = "slurm"
    probe = "sbatch"
    held = ("--begin=now+1hour",)
    no_queue = "invalid partition specified: nosuch"
    # What the first says depends on the site's EnforcePartLimits.
    never = "can never start: the batch system says PartitionConfig|node configuration is not available"
    over = frozenset({"COMPLETING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "PREEMPTED", "NODE_FAIL"})
    daemon = "slurmctld"
    again = "--requeue"
    nodes = 3

    def jobs(self, token, *, ended=False):
        command = [
            "squeue",
            "-h",
            "-r",
            "-u",
            getpass.getuser(),
            "-o",
            "%j|%F_%K|%T",
            *(["-t", "all"] if ended else []),
        ]
        lines = [line.split("|") for line in call(*command).splitlines()]
        return {job_id.removesuffix("_N/A"): state for name, job_id, state in lines if token in name}

    def cancel(self, job_id):
        call("scancel", job_id)

    def may_run_again(self, job_id):
        return "Requeue=1" in call("scontrol", "show", "job", job_id)

    def nodes_up(self):
        states = call("sinfo", "-h", "-N", "-o", "%T").split()
        return not any("down" in state or "*" in state for state in states)


class Sge(System):
    name = "sge"
    probe = "qconf"
    held = ("-h",)
    no_queue = 'unknown queue "nosuch"'
    # Unless it is configured to check, it takes every job, and reports of none that it can never start.
    impossible = {"cores": TOO_MANY, "job_extra_directives": ["-w e"]}
    never = "no suitable queues"
    over = frozenset("dz")
    daemon = "master"
    again = "-r y"
    nodes = 2
    prefix = "jobclusters-sge-"

    @property
    def keywords(self):
        return {**super().keywords, "parallel_environment": self.setting("PE", "smp")}

    def jobs(self, token, *, ended=False):
        command = ["qstat", "-xml", "-g", "d", "-u", getpass.getuser()]
        text = call(*command) + (call(*command, "-s", "z") if ended else "")
        found = {}
        for block in re.findall(r"<job_list.*?</job_list>", text, re.DOTALL):
            job = dict(re.findall(r"<(\w+)>([^<]*)</\1>", block))
            if token in job["JB_name"]:
                ids = [f"{job['JB_job_number']}{element}" for element in self._elements(job.get("tasks", ""))]
                found = dict.fromkeys(ids, " ".join(job["state"])) | found
        return found

    @staticmethod
    def _elements(tasks):
        """Read ``3``, or ``1-3:1,7`` as arrays have it that have ended."""
        for part in tasks.split(","):
            first, _, last = part.partition(":")[0].partition("-")
            yield from (f".{index}" for index in range(int(first), int(last or first) + 1)) if part else [""]

    def cancel(self, job_id):
        call("qdel", job_id)

    def may_run_again(self, job_id):
        return re.search(r"^restart: +y", call("qstat", "-j", job_id.partition(".")[0]), re.MULTILINE)

    def nodes_up(self):
        # queue, type, slots, load, architecture, and a state if there is anything to say
        lines = [line.split() for line in call("qstat", "-f").splitlines() if "@" in line]
        return all(len(line) == 5 and line[3] != "-NA-" for line in lines)


class Pbs(System):
    name = "pbs"
    probe = "pbsnodes"
    held = ("-h",)
    no_queue = "Unknown queue"
    never = "can never start: the batch system says Can Never Run|violates queue and/or server resource limits"
    over = frozenset("EFXC")
    shows_output = False

    @property
    def remembers(self):
        """Unless a site sets job_history_enable, the server forgets a job as it ends."""
        argv = ["qselect", "-x", "-u", getpass.getuser()]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)
        return "not configured to maintain job history" not in done.stderr

    def jobs(self, token, *, ended=False):
        history = ["-x"] if ended and self.remembers else []
        ids = call("qselect", *history, "-u", getpass.getuser()).split()
        # Some may have ended since. Without an id, qstat would list everybody's.
        text = call("qstat", *history, "-t", "-f", *ids, unless="Unknown Job|has finished") if ids else ""
        found = {}
        for job in re.split(r"^Job Id: ", text.replace("\n\t", ""), flags=re.MULTILINE)[1:]:
            fields = dict(re.findall(r"^ +(Job_Name|job_state) = (.*)$", job, re.MULTILINE))
            job_id = job.split(maxsplit=1)[0]
            if token in fields["Job_Name"] and "[]" not in job_id:  # of an array, only its elements
                found[job_id] = fields["job_state"]
        return found

    def cancel(self, job_id):
        call("qdel", job_id)

    def may_run_again(self, job_id):
        return "Rerunable = True" in call("qstat", "-f", job_id)


class Lsf(System):
    name = "lsf"
    probe = "bsub"
    held = ("-H",)
    no_queue = "nosuch: No such queue"
    never = "Too many processors requested|Too many tasks requested"
    over = frozenset({"DONE", "EXIT"})
    shows_output = False

    def jobs(self, token, *, ended=False):
        lines = call("bjobs", "-w", *(["-a"] if ended else []), unless=r"No (\w+ )?job found").splitlines()
        found = {}
        for line in lines:
            fields = line.split()  # id, user, state, queue, from, on, name, date
            if len(fields) > 6 and token in fields[6]:
                index = re.search(r"\[\d+\]$", fields[6])
                found[fields[0] + (index[0] if index else "")] = fields[2]
        return found

    def cancel(self, job_id):
        call("bkill", job_id)

    def may_run_again(self, job_id):
        return "re-runnable" in re.sub(r"\n {21}", "", call("bjobs", "-l", job_id)).lower()


class Oar(System):
    name = "oar"
    probe = "oarsub"
    held = ("--hold",)
    no_queue = "queue 'nosuch' does not exist"
    lists_queues = False
    never = "There are not enough resources for your request"
    over = frozenset("FTE")
    warns = False
    daemon = "server"
    again = "-t idempotent"
    # Jobs stay running there.
    notices_frozen = False
    nodes = 2

    @property
    def keywords(self):
        return {**super().keywords, "memory_per_core_property_name": self.setting("MEMORY", "not_applicable")}

    def jobs(self, token, *, ended=False):
        chosen = f"job_user = '{getpass.getuser()}' and job_name like '%{token}%'"
        lines = [line.split() for line in call("oarstat", "--format", "2", "--sql", chosen).splitlines()[2:]]
        return {job_id: letter for job_id, letter, *_ in lines if ended or letter not in "TE"}

    def submission(self, job_id):
        return re.search(r"job_array_id = (\d+)", call("oarstat", "-f", "-j", job_id))[1]

    def cancel(self, job_id):
        call("oardel", job_id)

    def may_run_again(self, job_id):
        return re.search(r"types = .*idempotent", call("oarstat", "-f", "-j", job_id))

    def nodes_up(self):
        return all(line.endswith(("Alive", ":")) for line in call("oarnodes", "-s").splitlines())


class Htcondor(System):
    name = "htcondor"
    probe = "condor_submit"
    held = ("hold = True",)
    queues = False
    never = "can never start: the batch system says no machine of the pool can run it"
    over = frozenset({"X", "C"})
    daemon = "schedd"
    # Once a job runs, HTCondor goes by the connection to its node alone, which stays open.
    notices_frozen = False
    lasting = {"lease_duration": "10 minutes"}
    nodes = 2
    gpu = "a100-sxm4-40gb"

    def jobs(self, token, *, ended=False):
        columns = ("-af:,", "ClusterId", "ProcId", "JobStatus", "JobBatchName")
        which = ["-constraint", f'regexp("{token}", JobBatchName)']
        text = call("condor_q", *which, *columns)
        if ended:
            text = call("condor_history", *which, "-limit", "5000", *columns) + text
        lines = [[field.strip() for field in line.split(",")] for line in text.splitlines()]
        # Those that have ended stay for a while, for others to read how.
        return {f"{job}.{proc}": "UIRXCH>S"[int(state)] for job, proc, state, _ in lines if ended or state != "4"}

    def cancel(self, job_id):
        call("condor_rm", job_id)

    def may_run_again(self, job_id):
        """All may, unless the job says otherwise."""
        return "NumShadowStarts" not in call("condor_q", job_id, "-af", "PeriodicRemove")

    def nodes_up(self):
        return len(call("condor_status", "-constraint", "PartitionableSlot", "-af", "Machine").split()) == self.nodes


SYSTEMS: dict[str, System] = {system.name: system for system in (Slurm(), Sge(), Htcondor(), Oar(), Pbs(), Lsf())}
