# Sourced by the scripts beside it: the virtual environment that they share.
# Everything said here goes to stderr, for stdout belongs to the program that is started.
# shellcheck shell=bash

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=$venv/bin/python
columns=80 # of the terminal, if there is one

# The first Python of the machine that is new enough; PYTHON names another one.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo 'vmdbg needs Python 3.11 or newer; set PYTHON to one.' >&2
    return 1
}

# What an installation depends on: it stays valid while this text is the same.
installation() {
    printf '%s\n%s\n' "$root" "$(<"$root/pyproject.toml")"
}

# Keep the bytecode of tests in .venv, whatever the user keeps elsewhere: they start some hundred processes.
keep_bytecode() {
    unset PYTHONDONTWRITEBYTECODE
    export PYTHONPYCACHEPREFIX=$venv/bytecode
}

# installed NAME...: is one of these installations there and valid?
installed() {
    local name now
    [[ -x $python ]] || return 1
    now=$(installation)
    for name; do
        [[ -f $venv/installed-$name && $(<"$venv/installed-$name") == "$now" ]] && return 0
    done
    return 1
}

# The requirements of the project and of extra $1 (run, [test], [dev]) as pip's arguments, one a line, without
# llvmlite.
requirements_without_llvmlite() {
    "$python" - "$root/pyproject.toml" "$1" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
extras = project["optional-dependencies"]
extra = sys.argv[2].strip("[]")
wanted = project["dependencies"] + extras.get(extra, [])
if extra in ("dev", "docs"):
    wanted += extras["test"]
print("\n".join(item for item in wanted if not item.startswith(("llvmlite", "vmdbg["))))
PYTHON
}

# On a terminal a line on stderr says, until `still`, for how long it has been going on and what was logged last.
tick() {
    local begun=$SECONDS last
    while kill -0 $$ 2>/dev/null; do
        last=$(tail -n 1 -- "$log" 2>/dev/null)
        printf '\r%-*.*s' $((columns - 1)) $((columns - 1)) "$((SECONDS - begun)) s  ${last## }" >&2
        sleep 0.5
    done
}
still() {
    [[ -n ${ticker-} ]] || return 0
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=''
    printf '\r%*s\r' $((columns - 1)) '' >&2
}

# logged COMMAND...: run it; what it writes goes to the log.
logged() {
    "$@" >>"$log" 2>&1 </dev/null
}

# install NAME, with NAME one of run, bench, test, dev, docs.
install() {
    local name=$1 extra='' base='' status=0
    [[ $name == run ]] || extra="[$name]"
    if [[ ! -x $python ]] || ! "$python" -m pip --version >/dev/null 2>&1; then
        base=$(find_python)
    fi
    log=$(mktemp)
    echo "Installing vmdbg$extra in .venv ..." >&2
    if [[ -t 2 ]]; then
        read -r _ columns < <(stty size <&2 2>/dev/null) || true
        ((columns > 9)) || columns=80
        trap still EXIT
        tick &
        ticker=$!
    fi
    install_logged "$extra" "$base" || status=$?
    still
    if ((status)); then
        cat -- "$log" >&2
    elif [[ -f $venv/interpreted ]]; then
        echo 'No llvmlite for this Python: everything runs interpreted.' >&2
    fi
    rm -f -- "$log"
    ((status == 0)) || return 1
    installation >"$venv/installed-$name"
}

# install_logged EXTRA BASE: with BASE make the environment anew, of that Python.  Compilers are not asked for:
# llvmlite comes as a wheel or not at all, and vmdbg then runs interpreted.  Bytecode is made only of what runs.
install_logged() {
    local extra=$1 base=$2 requirements
    local pip=("$python" -m pip install --no-compile --disable-pip-version-check --only-binary=llvmlite)
    if [[ -n $base ]]; then
        logged "$base" -m venv --clear "$venv" || return 1
        logged "$python" -m pip uninstall --yes setuptools || true # Python 3.11 brings it; nothing needs it
    fi
    rm -f -- "$venv/interpreted"
    logged "${pip[@]}" --editable "$root$extra" && return
    mapfile -t requirements < <(requirements_without_llvmlite "${extra:-run}")
    logged "${pip[@]}" "${requirements[@]}" || return 1
    logged "${pip[@]}" --no-deps --editable "$root" || return 1
    touch -- "$venv/interpreted"
}
