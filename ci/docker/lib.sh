# shellcheck shell=bash disable=SC2034,SC2119,SC2120
# Sourced by up, down, run, shell and levers, with their arguments. They serve every dockerized batch system: each has a
# directory of its own, which links to them, and tells by cluster.sh what they have to know of it. The option --suite,
# which has to be the first, says on which Debian it is; all that is of another has another name, so that several may be
# up side by side.
me=$(basename "$0")
here=$(cd "$(dirname "$0")" && pwd)
shared=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$shared/../.." && pwd)
system=$(basename "$here" -docker)

say() { echo "$me: $*" >&2; }
fail() { say "$*"; exit 1; }

[ -e "$here/cluster.sh" ] || fail "is to be called in the directory of a batch system: ci/slurm-docker/$me"
# shellcheck source=../slurm-docker/cluster.sh
source "$here/cluster.sh"
suite=
if [ "${1:-}" = --suite ]; then
    suite=${2:-}
    [[ " ${suites[*]} " == *" ${suite:-none} "* ]] || fail "--suite has to be one of: ${suites[*]}"
    shift 2
fi
# down without it takes down all
[ -n "$suite" ] || [ "$me" = down ] || suite=${suites[0]}
image=jobclusters-$system:$suite
base=debian:$suite-slim # which make-base makes
project=jobclusters
[ "$system" = slurm ] || project+=-$system
[ "$suite" = "${suites[0]}" ] || project+=-$suite
login=$project-login
readonly me here shared root system suite image base project login

# Three locks, of the machine, for so are the containers' names:
#   up      one up or down at a time
#   runs    shared by run, shell and levers; who holds it alone may change the cluster
#   levers  one at a time may break it
# Opened to read, for the file may be another user's.
lock_file() {
    local file=/tmp/${image/:/-}-$1.lock
    [ -e "$file" ] || : >"$file"
    echo "$file"
}

containers() { docker ps -aq --filter "label=com.docker.compose.project=$project" "$@"; }

remove_containers() { containers | xargs -r docker rm -fv >/dev/null; }

# down and up's last resort. Not by compose: this also takes what a compose that was killed has left
remove_cluster() {
    local label="label=com.docker.compose.project=$project"
    remove_containers
    docker network ls -q --filter "$label" | xargs -r docker network rm >/dev/null
    docker volume ls -q --filter "$label" | xargs -r docker volume rm >/dev/null
}

only_one() {
    exec {up_lock}<"$(lock_file up)"
    flock -n "$up_lock" && return
    say "waiting for another up or down"
    flock -w 1200 "$up_lock" || fail "it has been at work for 20 minutes"
}

# Waits for an up in progress, then shares the cluster with other runs until this script ends.
use_cluster() {
    local lock
    docker info >/dev/null 2>&1 || fail "no Docker engine answers: ci/$system-docker/up starts it all"
    exec {lock}<"$(lock_file runs)"
    flock -sn "$lock" || {
        say "waiting for an up in progress"
        flock -s -w 900 "$lock" || fail "it has been at work for 15 minutes"
    }
    [ "$(docker inspect -f '{{.State.Status}}' "$login" 2>/dev/null)" = running ] ||
        fail "the cluster is not up: ci/$system-docker/up --suite $suite starts it"
}
