# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by ../docker/lib.sh: what its scripts have to know of HTCondor.

suites=(trixie)

# Removes what earlier runs have left until all nodes are there and nothing runs. $1: seconds
settle() {
    local end=$((SECONDS + $1)) round=0
    while ((SECONDS < end)); do
        if [ "$(on_login condor_status -af Name 2>/dev/null)" = $'slot1@e1\nslot1@e2' ] &&
            jobs=$(on_login condor_q -allusers -af:j JobStatus 2>/dev/null) && [ -z "$jobs" ]; then return 0; fi
        if ((round++ % 10 == 0)); then
            on_schedd condor_rm -all
            ((round <= 11)) || on_schedd condor_rm -forcex -all # what a lost node holds
        fi >/dev/null 2>&1 || true
        [ "$(made_of "$INPUTS" --filter status=running)" = "$parts" ] || return 1
        sleep 0.3
    done
    return 1
}

on_schedd() { timeout 20 docker exec "$project-schedd" "$@"; }

set_up() { :; }

may_submit() { on_login runuser -u "$1" -- condor_q -totals; }

nodes() { on_login condor_status; }
