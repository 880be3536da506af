#!/usr/bin/env bash
#PBS -N dask-worker
#PBS -j oe
#PBS -l nodes=1:ppn=1,mem=1024mb
#PBS -l walltime=00:30:00

cd "${PBS_O_INITDIR:-${PBS_O_WORKDIR:-.}}" || echo "working in $PWD" >&2
began=$(date +%s)
# Not every shell of a job knows it.
if ! command -v module >/dev/null 2>&1; then
  for init in "${LMOD_PKG-}/init/sh" "${MODULESHOME-}/init/sh" /etc/profile.d/modules.sh /etc/profile.d/*lmod.sh; do
    if [ -r "$init" ]; then . "$init"; break; fi
  done
fi
module load gcc/12 || exit
export A="$HOME/b"
export CONDA_PREFIX=/envs/dask
[ -d "$CONDA_PREFIX/bin" ] || { echo "conda environment $CONDA_PREFIX: not found" >&2; exit 1; }
export PATH="$CONDA_PREFIX/bin:$PATH"
for init in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
  if [ -r "$init" ]; then . "$init"; fi
done
# Workers import modules from there: Dask would also take a directory that another user has made.
scratch=${TMPDIR:-/tmp}/dask-scratch-space-$(id -u)
mkdir -m 700 "$scratch" 2>/dev/null || { [ ! -L "$scratch" ] && [ -O "$scratch" ] && chmod 700 "$scratch"; } ||
  scratch=$(mktemp -d "$scratch-XXXXXX")
export DASK_TEMPORARY_DIRECTORY="${DASK_TEMPORARY_DIRECTORY:-$scratch}"
# Python runs this, and then the worker: both, and the worker's processes, look into the working directory last.
start='
import gc, sys
gc.disable()  # nothing of what is imported is garbage: to look for some, now and at the end, takes a fifth of the time of imports
sys.path.sort(key=lambda entry: entry == "")
from multiprocessing import util
flags = getattr(util, "_args_from_interpreter_flags", list)
# Python 3.10 has only -I for that, which would also ignore the seed of hashes, and so the workers disagree.
last = ["-P"] if sys.version_info >= (3, 11) else ["-c", "import sys; sys.path.remove(str()); del sys.argv[1]; exec(sys.argv.pop(1))"]
util._args_from_interpreter_flags = lambda: flags() + last
import logging, platform, distributed
here, there = (platform.python_version(), distributed.__version__), ("3.12.1", "2026.8.0")
same = here[0].split(".")[:2] == there[0].split(".")[:2] and here[1] == there[1]
logging.getLogger("distributed.worker").log(
    20 if same else 30,
    "Python %s and distributed %s here, Python %s and distributed %s at the scheduler: %s",
    *here, *there, "they match" if same else "tasks may fail, so give both the same software",
)
gc.freeze()
gc.enable()
import runpy
del sys.argv[:3]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
'
export DASK_DISTRIBUTED__WORKER__LIFETIME__DURATION=$((began + 1725 - $(date +%s)))s
export DASK_DISTRIBUTED__WORKER__LIFETIME__STAGGER=15s
# With OpenSSL 3.4 and newer a TLS connection fails for an error that another has left, unless that is taken away first.
export JOBCLUSTERS_GUARD='
import ssl
from contextlib import suppress
def dask_setup(_):
    without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    def guard(call):
        def guarded(*args, **kwargs):
            with suppress(ssl.SSLError): without.load_verify_locations(cadata=b"0")
            return call(*args, **kwargs)
        return guarded
    names = ("do_handshake", "read", "write", "send", "unwrap")
    calls = {name: guard(getattr(ssl.SSLSocket, name)) for name in names}
    if ssl.OPENSSL_VERSION_INFO >= (3, 4):
        ssl.SSLContext.sslsocket_class = type("GuardedSocket", (ssl.SSLSocket,), calls)
'
guard='import os; exec(os.environ.get("JOBCLUSTERS_GUARD", ""))'
name=dask-worker
exec "$CONDA_PREFIX/bin/python" -c "$start" "$CONDA_PREFIX/bin/python" -m distributed.cli.dask_worker tcp://10.0.0.1:8786 --name "$name" --nthreads 1 --memory-limit 921MiB --preload "$guard" --preload-nanny "$guard" --nanny --death-timeout 60 --no-dashboard --dashboard-address 127.0.0.1:0
