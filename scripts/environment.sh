# Sourced by the scripts beside it: the virtual environment that they share.
# Everything said here goes to stderr, for stdout belongs to the program that is started.
# shellcheck shell=bash

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=$venv/bin/python

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

# The requirements of the project and of extra $1 as pip's arguments, one a line, without llvmlite.
requirements_without_llvmlite() {
    "$python" - "$root/pyproject.toml" "$1" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
extras = project["optional-dependencies"]
wanted = project["dependencies"] + extras.get(sys.argv[2], [])
if sys.argv[2] == "dev":
    wanted += extras["test"]
print("\n".join(item for item in wanted if not item.startswith(("llvmlite", "vmdbg["))))
PYTHON
}

# install NAME, with NAME one of run, test, dev.  Compilers are not asked for: llvmlite comes
# as a wheel or not at all, and vmdbg then runs interpreted.
install() {
    local name=$1 extra='' requirements log=$venv/installation.log
    [[ $name == run ]] || extra="[$name]"
    local pip=("$python" -m pip install --quiet --disable-pip-version-check --only-binary=llvmlite)
    if [[ ! -x $python ]] || ! "$python" -m pip --version >/dev/null 2>&1; then
        local base
        base=$(find_python)
        "$base" -m venv --clear "$venv" >&2
    fi
    echo "Installing vmdbg$extra in .venv ..." >&2
    if ! "${pip[@]}" --editable "$root$extra" >"$log" 2>&1 </dev/null; then
        mapfile -t requirements < <(requirements_without_llvmlite "$name")
        if "${pip[@]}" "${requirements[@]}" >>"$log" 2>&1 </dev/null &&
            "${pip[@]}" --no-deps --editable "$root" >>"$log" 2>&1 </dev/null; then
            echo 'No llvmlite for this Python: everything runs interpreted.' >&2
        else
            cat -- "$log" >&2
            return 1
        fi
    fi
    installation >"$venv/installed-$name"
}
