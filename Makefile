# Two commands for a newcomer: `make demo` and `make test`. Both make .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROBOT_PYTHON ?= python3.8
ROBOT_BIN := build/robot/bin
OLD := build/old_onboard
RACE := build/race
INSTALLED := $(VENV)/installed
CHECKED := go1.py setup.py cli robot_configs policy offline_data deploy sim tests benchmarks

# Two workers and one thread each: numeric libraries that start a thread a core in every worker only get in each other's way.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-robot test-old-onboard faults test-race mutants check format clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## Make .venv and install the pinned dependencies into it

$(INSTALLED): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "expected Python 3.11 or newer; found `$(PYTHON) --version 2>&1`. Name another: make PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
# torch goes first and alone: were it resolved with the rest, a second index that offers the CPU build could lose to a
# CUDA build and its gigabytes of libraries. Which index that is, is pip's configuration (PIP_EXTRA_INDEX_URL), not ours.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: venv ## Rehearse the whole loop on the twin's mattress (at most 15 minutes on 2 cores)
	$(BIN)/go1 demo

test: venv ## Run the tests that take seconds
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-slow: venv ## Run the tests that take longer
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

test-robot: venv $(ROBOT_BIN)/installed ## Run the robot's commands on the robot's Python 3.8 and packages (needs python3.8)
	GO1_ROBOT_PYTHON=$(ROBOT_BIN)/python $(BIN)/python -m pytest -k robot tests/test_cli.py tests/test_onboard_imports.py

# Another NumPy promotes integers by other rules and another onnxruntime reads other graphs: only these show it.
$(ROBOT_BIN)/installed: setup.py constraints.txt
	$(ROBOT_PYTHON) -m venv --clear build/robot
	$(ROBOT_BIN)/python -m pip install --quiet --constraint constraints.txt '.[onboard]'
	$(ROBOT_BIN)/python -m pip uninstall --quiet --yes go1-sim-to-real
	touch $@

test-old-onboard: $(OLD)/installed ## Run the robot's tests on its old numpy 1.24 and onnxruntime 1.16
	$(OLD)/bin/python -m pytest -p tests.old_onboard -m "not slow" tests/deploy tests/offline_data/test_log_schema.py \
	  tests/policy tests/robot_configs tests/test_cli.py tests/test_onboard_imports.py

$(OLD)/installed: setup.py constraints.txt
	$(PYTHON) -m venv --clear $(OLD)
	sed -n 's/ *; *python_version < "3\.9"$$//p' constraints.txt > $(OLD)/constraints.txt
	$(OLD)/bin/python -m pip install --quiet --constraint $(OLD)/constraints.txt numpy onnxruntime pyyaml mcap pytest hypothesis
	$(OLD)/bin/python -m pip install --quiet --no-deps --constraint constraints.txt unitree-legged-sdk
	touch $@

test-race: $(RACE)/installed ## Run the tests of the race's other side, stable-baselines3, in an environment of its own
	$(RACE)/bin/python -m pytest tests/benchmarks/walk_race/test_stable_baselines.py

$(RACE)/installed: setup.py constraints.txt benchmarks/requirements-seconds-to-walk.txt
	$(PYTHON) -m venv --clear $(RACE)
	$(RACE)/bin/python -m pip install --quiet --constraint constraints.txt torch
	$(RACE)/bin/python -m pip install --quiet --constraint constraints.txt '.[train]' pytest hypothesis
	$(RACE)/bin/python -m pip uninstall --quiet --yes go1-sim-to-real
	$(RACE)/bin/python -m pip install --quiet --no-deps --requirement benchmarks/requirements-seconds-to-walk.txt
	touch $@

faults: venv ## Injure the twin, its network, its logs and its power in every way we know, and write the reports (under an hour)
	$(BIN)/python -m sim.faults --out docs/faults.md --workers $(WORKERS)
	$(BIN)/python -m benchmarks.log_kills --cases 500 --out docs/log_kills.md
	$(BIN)/python -m benchmarks.power_cuts --out docs/power_cuts.md

mutants: venv ## Change the gate, the wire and the bundle checks in one place at a time; the tests must notice
	$(BIN)/python -m benchmarks.mutants

check: venv ## Check formatting, lint and types
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy --num-workers $(WORKERS) $(CHECKED)

format: venv ## Format the code and sort its imports
	$(BIN)/ruff check --select I --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

clean: ## Remove what these commands made, runs/ excepted
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
