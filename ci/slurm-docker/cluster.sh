# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by ../docker/lib.sh: what its scripts have to know of SLURM.

suites=(bookworm trixie sid) # SLURM 22.05, 24.11 and what is newest; the first by default

# Cancels what earlier runs have left, wakes nodes, until all are idle. $1: seconds
settle() {
    local end=$((SECONDS + $1)) round=0 states restless node
    while ((SECONDS < end)); do
        if states=$(on_login sinfo -h -N -o '%N %T' 2>/dev/null); then
            restless=$(grep -v ' idle$' <<<"$states" | sort -u) || true
            if [ -z "$restless" ] && [ -z "$(on_login squeue -h -t pending,running,completing)" ]; then return 0; fi
            if ((round++ % 10 == 0)); then
                on_login scancel -u alice
                on_login scancel -u bob
                while read -r node _; do
                    on_login scontrol update "NodeName=$node" State=RESUME 2>/dev/null || true
                done < <(grep -E 'down|drain|fail' <<<"$restless")
            fi
        fi
        [ "$(made_of "$INPUTS" --filter status=running)" = "$parts" ] || return 1
        sleep 0.3
    done
    return 1
}

set_up() { on_login /usr/local/sbin/accounting; }

may_submit() { on_login runuser -u "$1" -- sbatch -Q --test-only -A lab --wrap true; }

nodes() { on_login sinfo -N -o '%N %T %E'; }
