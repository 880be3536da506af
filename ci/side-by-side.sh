# shellcheck shell=bash disable=SC2034
# Sourced. Runs commands at the same time, each in a process group of its own, to which an interrupt is handed on; what
# each prints goes to a file.
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
set -m
declare -A processes=()
interrupted=0

# shellcheck disable=SC2329  # the traps call it
hand_on() { # signal, exit status
    local pid
    interrupted=$2
    for pid in "${processes[@]}"; do kill -s "$1" -- "-$pid" 2>/dev/null || true; done
}
trap 'hand_on INT 130' INT
trap 'hand_on TERM 143' TERM HUP

begin() { # name, command...
    : >"$logs/$1.begun"
    [ "$(type -t "$2")" != file ] || exec "${@:2}"
    "${@:2}"
}

start() { # name, command...
    : >"$logs/$1"
    begin "$@" </dev/null >>"$logs/$1" 2>&1 &
    # Until it has left our traps behind, a signal would let it end as this script does, with all that is written down.
    until [ -e "$logs/$1.begun" ] || ! kill -0 "$!" 2>/dev/null; do :; done
    processes[$1]=$!
    # an interrupt that came while it was started has been handed on to those before it only
    [ "$interrupted" = 0 ] || kill -- "-$!" 2>/dev/null || true
}

await() { # name; the exit status is in $code
    while kill -0 "${processes[$1]}" 2>/dev/null; do wait "${processes[$1]}" || true; done # a trap ends a wait
    code=0
    wait "${processes[$1]}" || code=$?
    unset "processes[$1]"
}

watch() { # name; as await, and what it prints is seen at once
    local follower
    tail -n +1 -s 0.2 -f --pid="${processes[$1]}" "$logs/$1" &
    follower=$!
    await "$1"
    while kill -0 "$follower" 2>/dev/null; do wait "$follower" || true; done
}
