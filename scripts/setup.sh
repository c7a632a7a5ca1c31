#!/bin/sh
# Make .venv and install the toolkit into it: scripts/setup.sh EXTRAS, for example lab or lab,dev.
# The Makefile calls it where a stamp is missing or older than pyproject.toml.
# Whatever goes wrong ends in one sentence that says what to do. It writes nothing outside this folder
# but pip's cache, and needs no HOME.
set -eu

extras=${1:?usage: scripts/setup.sh EXTRAS, for example lab or lab,dev}
cd "$(dirname "$0")/.."
here=$PWD
unfinished=.venv/.installing # there while an installation runs: found at the start, it was interrupted
case ,$extras, in # measured, with some room: what .venv takes at its fullest
*,dev,*) needed_mb=1900 ;;
*) needed_mb=1100 ;;
esac

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

# find_python: sets `python` to the base interpreter of the first usable candidate, or fails saying what is missing.
find_python() {
    probe='
import sys
version, state = sys.version_info, "ok"
if version < (3, 11):
    state = "old"
else:
    try:
        import venv
        from ensurepip import bootstrap
    except ImportError:
        state = "bare"
path = getattr(sys, "_base_executable", None) or sys.executable
print("%s %d.%d.%d %s" % ((state,) + tuple(version[:3]) + (path,)))'
    old='' bare=''
    if [ -n "${PYTHON-}" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11; fi
    for candidate; do
        answer=$("$candidate" -c "$probe" 2>/dev/null) || continue
        read -r state version python <<ANSWER
$answer
ANSWER
        case $state in
        ok) return ;;
        old) [ -n "$old" ] || old="$version at $python" ;;
        bare) [ -n "$bare" ] || bare="$version at $python" package=$(venv_package "$candidate") ;;
        esac
    done
    [ -z "$bare" ] || fail "Python $bare lacks the modules that make a .venv; install them with \`sudo apt-get install $package\` and run this again."
    [ -z "$old" ] || fail "Python 3.11 or newer is needed; found $old; install it with \`sudo apt-get install python3 python3-venv\` (Debian 12, Ubuntu 24.04 or later) or set PYTHON=/path/to/python3."
    [ -z "${PYTHON-}" ] || fail "PYTHON=$PYTHON is no Python that runs; set it to the path of a Python 3.11 or newer, or unset it."
    fail "Python 3.11 or newer is needed and none was found; install it with \`sudo apt-get install python3 python3-venv\` or set PYTHON=/path/to/python3."
}

# venv_package NAME: the Debian package that completes the interpreter NAME.
venv_package() {
    case ${1##*/} in
    python3.*) echo "${1##*/}-venv" ;;
    *) echo python3-venv ;;
    esac
}

free_mb() { df -Pk . | awk 'NR == 2 { print int($4 / 1024) }'; }

# explain WHAT TEXT: ends the script with the sentence that fits the failure of WHAT, which left TEXT.
explain() {
    rm -rf .venv/.tmp
    case $2 in
    *'No space left on device'* | *'Errno 28'* | *'Disk quota exceeded'* | *'Errno 122'*) full=yes ;;
    *) [ "$(free_mb)" -ge 20 ] && full='' || full=yes ;;
    esac
    if [ -n "$full" ]; then
        [ -n "$kept" ] || rm -rf .venv # it is of no use, and the space is wanted
        fail "the disk ran full: .venv needs about $needed_mb MB in $here, where $(free_mb) MB are free; free some space and run this again."
    fi
    if printf '%s\n' "$2" | grep -Eq 'NewConnectionError|NameResolutionError|Connect(ion|Timeout|TimeoutError)?\(|ProxyError|ReadTimeout|Read timed out|Connection(Reset|Refused| refused| broken| aborted| reset)|Temporary failure in name resolution|Network is unreachable|Max retries exceeded'; then
        [ -z "$kept" ] || rm -f "$unfinished" # pip downloads everything before it installs anything
        fail "the packages could not be downloaded; check the connection to the internet (and a proxy's settings, if there is one) and run this again."
    fi
    printf '%s\n' "$2" | grep -iE '^ *(error|oserror|permissionerror)' | tail -n 3 >&2 || true
    fail "$1 failed for the reason above; mend it and run this again, or see the whole story with \`.venv/bin/python -m pip install -e '.[$extras]'\`."
}

# make_venv: a .venv that works; one that an interrupted run or a gone Python left behind is made anew.
make_venv() {
    kept=''
    if [ -e .venv ]; then
        if [ ! -e "$unfinished" ] &&
            .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            kept=yes
        else
            echo "setup: .venv is unfinished or broken; making it anew"
            rm -rf .venv
        fi
    fi
    [ -n "$kept" ] || find_python
    if ! { mkdir -p .venv/.tmp && touch "$unfinished"; } 2>/dev/null; then
        [ "$(free_mb)" -ge 1 ] || explain "making .venv" "No space left on device"
        fail "$here cannot be written to; make it yours (chown) or clone into a folder of your own."
    fi
    TMPDIR=$here/.venv/.tmp # on the same disk, and no need for a /tmp
    export TMPDIR
    [ -z "$kept" ] || return 0
    echo "setup: making .venv with $python ($version)"
    text=$("$python" -m venv .venv 2>&1) || explain "making .venv" "$text"
}

install() {
    echo "setup: installing hercle_nb[$extras] into .venv; the first time takes about a minute"
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INPUT=1
    [ -w "${HOME:-/nowhere}" ] || export PIP_NO_CACHE_DIR=1
    # standard output stays where it is, for pip's progress bars; errors are kept to be explained
    exec 3>&1
    errors=$(.venv/bin/python -m pip install --retries 2 -e ".[$extras]" 2>&1 >&3) ||
        explain "the installation" "$errors"
}

[ -n "${HOME-}" ] || unset HOME # an empty one would mean the root folder
trap 'printf "\nsetup: interrupted; the next run begins anew\n" >&2; exit 130' INT TERM
make_venv
install
rm -rf .venv/.tmp
for extra in $(echo "$extras" | tr , ' ') "$extras"; do
    touch ".venv/.installed-$extra"
done
rm -f "$unfinished"
echo "setup: done"
