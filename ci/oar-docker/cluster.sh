# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by ../docker/lib.sh: what its scripts have to know of OAR.

suites=(trixie)

# Deletes what earlier runs have left, wakes nodes, until all is idle. $1: seconds
settle() {
    local end=$((SECONDS + $1)) round=0 states jobs node
    while ((SECONDS < end)); do
        if states=$(on_login oarnodes -s 2>/dev/null) && jobs=$(on_login oarstat 2>/dev/null); then
            if [ "$(grep -c ': Alive$' <<<"$states")" = 64 ] && [ -z "$jobs" ]; then return 0; fi
            if ((round++ % 5 == 0)); then
                [ -z "$jobs" ] || on_server oardel --sql "state NOT IN ('Error', 'Terminated')"
                for node in n1 n2; do on_server oarnodesetting -s Alive -h "$node"; done
            fi >/dev/null 2>&1 || true
        fi
        [ "$(made_of "$INPUTS" --filter status=running)" = "$parts" ] || return 1
        sleep 0.5
    done
    return 1
}

on_server() { timeout 20 docker exec "$project-server" "$@"; }

set_up() { :; }

# every submission is a job
may_submit() { on_login runuser -u "$1" -- oarstat -u; }

nodes() { on_login oarnodes -s; }
