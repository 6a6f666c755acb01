# Every command there is. `./just` brings its own tools; nothing else has to be installed.

set positional-arguments
set shell := ["sh", "-eu", "-c"]

export PYTHONDONTWRITEBYTECODE := ""
bin := justfile_directory() / ".venv/bin"
compile := ".tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --no-emit-package mainstem-common"
python_files := "libs services tests bench"

# Say what can be done here.
[private]
default:
    @exec "{{just_executable()}}" --list --unsorted

# MAINSTEM_PARENT_PID: a launcher ends with the `just` that started it, even one that ended at once.

# Play a subscription's life through the whole system and show each stop.
[group("run")]
demo *args:
    @MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/mainstem sandbox demo "$@"

# Start the whole system and keep it running (--ephemeral: free ports, fresh data).
[group("run")]
up *args:
    @MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/mainstem sandbox up "$@"

beside := quote(bin / "python") + " -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not alone'"
alone := quote(bin / "python") + " -m pytest -m alone"

# Run every check: format, lint, types, floors, tests, docs (--all: whole suites that else run a part in turn; other arguments are pytest's).
[group("check")]
test *args: format-check lint types floors
    @if [ $# -gt 0 ] && [ "$*" != "--all" ]; then exec "{{bin}}"/python -m pytest "$@"; fi; failed=0; \
    {{beside}} "$@" --budgets beside || failed=1; {{alone}} "$@" --budgets alone || failed=1; exit $failed

# Run the checks that need no server and are not of the sandbox, in under a minute.
[group("check")]
check *args: format-check lint types floors
    @exec "{{bin}}"/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/sandbox -m "not slow and not server and not alone" --hypothesis-profile=check "$@"

# Run cases of the reference, a folder or single files, against a stack of their own.
[group("check")]
conformance *paths:
    @MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/python -m tests.conformance "$@"

# Change each expectation of cases, one at a time, and list the changes that pass.
[group("check")]
conformance-mutants *paths:
    @MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/python -m tests.conformance.mutants "$@"

# Let faults rage over a stack while events flow, then compare it with what it should hold.
[group("check")]
chaos *args:
    @MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/python -m tests.chaos "$@"

# Send hostile HTTP to a stack, beside innocent callers that must not notice.
[group("check")]
attacks *args:
    @MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/python -m tests.attacks "$@"

# Take each rule of the stream out of a copy of the tree, and demand that its tests fail.
[group("check")]
mutations *args:
    @exec "{{bin}}"/python -m tests.mutations "$@"

# Measure what the stream can do: `ingest`, `worker`, `latency`, `gateway` or `tokens`, as bench/README.md says.
[group("check")]
bench name *args:
    @shift && MAINSTEM_PARENT_PID=$PPID exec "{{bin}}"/python "{{justfile_directory()}}/bench/{{name}}.py" "$@"

# Say whether every file is formatted.
[group("check")]
format-check:
    @exec "{{bin}}"/ruff format --check {{python_files}}

# Look for mistakes in the text of the code.
[group("check")]
lint:
    @exec "{{bin}}"/ruff check {{python_files}}

# Check the types, strictly.
[group("check")]
types:
    @exec "{{bin}}"/mypy

# Check that imports go down only.
[group("check")]
floors:
    @exec "{{bin}}"/lint-imports

# Format every file and mend what can be mended by a machine.
[group("change")]
format:
    "{{bin}}"/ruff check --fix-only --quiet {{python_files}}
    @exec "{{bin}}"/ruff format {{python_files}}

# Write docs/reference's pages on rooms, settings, metrics, errors, log events and rule sets again, from the code.
[group("change")]
references:
    @exec "{{bin}}"/python -m tests.references

# Write the budgets of time of the tests' folders again: on a machine that does nothing else.
[group("change")]
budgets:
    @{{beside}} --write-budgets beside && {{alone}} --write-budgets alone

# Write the charts' schemas again, after a change of a service's settings.
[group("change")]
schemas:
    @exec "{{bin}}"/python -m tests.charts

# Pin every dependency again: one lock for the tree, one more for each service's image.
[group("change")]
lock *args:
    {{compile}} --group dev -o requirements.lock "$@" libs/*/pyproject.toml services/*/pyproject.toml
    for name in ingest sync billing gateway; do {{compile}} -c requirements.lock -o services/$name/requirements.lock services/$name/pyproject.toml libs/common/pyproject.toml; done
