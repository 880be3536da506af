# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by ../docker/lib.sh: what its scripts have to know of Grid Engine.

suites=(bookworm)

# Deletes what earlier runs have left, wakes queues, until all is idle. $1: seconds
settle() {
    local end=$((SECONDS + $1)) round=0 queues
    while ((SECONDS < end)); do
        # queue, type, slots, load, architecture, and a state if there is anything to say
        if queues=$(on_login qstat -f -u '*' 2>/dev/null | grep -E '^[a-z.]+@'); then
            if [ "$(wc -l <<<"$queues")" = 4 ] && ! awk 'NF > 5 || $4 == "-NA-"' <<<"$queues" | grep -q . &&
                [ -z "$(on_login qstat -u '*')" ]; then return 0; fi
            if ((round++ % 10 == 0)); then
                on_master qdel -u alice -u bob
                ((round <= 11)) || on_master qdel -f -u alice -u bob # what a lost node holds
                on_master qmod -c '*'
                on_master qmod -e '*'
            fi >/dev/null 2>&1 || true
        fi
        [ "$(made_of "$INPUTS" --filter status=running)" = "$parts" ] || return 1
        sleep 0.3
    done
    return 1
}

on_master() { timeout 20 docker exec "$project-master" "$@"; }

set_up() { :; }

may_submit() { on_login runuser -u "$1" -- qsub -w v -q all.q -pe smp 2 -b y true; }

nodes() { on_login qhost -q; }
