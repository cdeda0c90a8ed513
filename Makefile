# `make run` goes from real data to a table of results, `make test` runs the tests; both set up the environment first.
# Needs python3 (3.11 or later) with pip and venv, git and make. `make help` lists all targets.
PYTHON ?= python3
BIN := .venv/bin
UV := .tools/bin/uv
DVC := $(BIN)/dvc --wait-for-lock
# What may run for long ends with make, even where that is killed: in a recipe's shell PPID is make (flows/stop.py).
TIED := exec env UMEMMA_MAKE=$$PPID $(BIN)/python
# User input reaches a shell only as "$$FILE", never as text of a command: neither a shell nor make can run any of it.
GIVEN := FILE NAME DATASET DATASETS ARMS SEEDS RATES OVER ARGS PORT MODEL ALLOW ID TO LOG SINCE LABELS EXP ACCEPT DAYS YES MINUTES RUNS
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := true
unexport PYTHONDONTWRITEBYTECODE     # without bytecode every stage would spend 5 s more on imports
.DEFAULT_GOAL := help
# Notes of `umemma.composition` on params.yaml and conf/; as this takes a second, it runs only when a file has changed.
NOTICE := .dvc/tmp/composition
.PHONY: help init run repair ablation study benchmark table exps grow test test-slow fuzz lint format docs params lock ui log serve promote monitor trace up down status data-docs prune audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

init: .venv/.synced ## conf/dataset/ for a table of your own: FILE=mydata.csv, and ARGS="--label genre --group film"
	@[ -n "$$FILE" ] || { echo 'ERROR: of which table? make init FILE=mydata.csv' >&2; exit 2; }
	@printf '%s\n' "$$ARGS" | xargs $(BIN)/python -m umemma init "$$FILE"

run: .venv/.synced .dvc/tmp ## raw data to results; DATASET=avmnist chooses the data set (default: that of params.yaml)
	@[ -z "$$DATASET" ] || $(BIN)/python -m umemma.composition write "dataset=$$DATASET"
	@if [ -n "$$(find params.yaml conf umemma .dvc/config ! -path '*/__pycache__*' -newer $(NOTICE) 2>&1 | head -n 1)" ]; then \
	  $(BIN)/python -m umemma.composition > $(NOTICE).part && mv $(NOTICE).part $(NOTICE); fi && cat $(NOTICE)
	@$(TIED) -m flows.turn repro
	@$(BIN)/python -m flows.leftovers
	@$(MAKE) -s table
	@git cat-file -e HEAD:./dvc.lock 2>/dev/null || \
	  echo '         git add dvc.lock params.yaml && git commit -m baseline  # the run that experiments are compared with'

repair: .venv/.synced ## remove outputs that were damaged on disk, from DVC's cache too; the next run makes them again
	@$(BIN)/python -m flows.repair

ablation: .venv/.synced ## every arm and seed as DVC experiments, resumed where it stopped: DATASET=... SEEDS="0 1 2"
	@set -f; $(TIED) -m flows.ablation $${DATASET:+--dataset "$$DATASET"} $${SEEDS:+--seeds $$SEEDS} \
	  $${ARMS:+--arms $$ARMS} $${RATES:+--rates $$RATES}

study: .venv/.synced ## experiments that answer one question, into docs/studies/NAME.md: NAME=rates DATASETS="..." SEEDS="0 1 2"
	@set -f; $(TIED) -m flows.study $${DATASETS:+--datasets $$DATASETS} $${SEEDS:+--seeds $$SEEDS} $$ARGS -- "$$NAME"

benchmark: .venv/.synced ## our model and two baselines on eight data sets, into docs/benchmark.md: DATASETS="..." SEEDS="0 1 2"
	@set -f; $(TIED) -m flows.benchmark $${DATASETS:+--datasets $$DATASETS} $${SEEDS:+--seeds $$SEEDS} \
	  $${OVER:+--over $$OVER}

.PHONY: bench
bench: .venv/.synced ## what the trainings of the last run cost on this machine, and what they must: data/reports/bench.json
	@KINETO_LOG_LEVEL=99 $(BIN)/python -m stages._bench  # the profiler would tell of each start, and of a GPU that is not there

table: .venv/.synced ## print the results of the last run
	@echo; $(BIN)/python -m stages.report --show

exps: .venv/.synced ## print all experiments: arm, scores, settings
	@$(BIN)/python -m flows.experiments_table

test: .venv/.synced ## the tests, in two processes
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-slow: .venv/.synced ## the slow tests: whole pipelines, servers, killed runs
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m slow

fuzz: .venv/.synced ## coverage-guided fuzzing of every reader, MINUTES=10 each, or RUNS=300: ARGS="image sound" for some
	@set -f; $(BIN)/python -m tests.fuzzing --minutes "$${MINUTES:-10}" $${RUNS:+--runs "$$RUNS"} $$ARGS

lint: .venv/.synced ## the formatter, ruff and mypy, changing nothing
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy

format: .venv/.synced ## the formatter over the whole tree
	@$(BIN)/ruff check --quiet --fix --select I . && $(BIN)/ruff format .

docs: .venv/.synced ## the documentation as a site that needs no network; a dead link fails
	@$(BIN)/python -m sphinx -W --keep-going -n -q -d docs/_build/doctrees -b html docs docs/_build/html
	@echo docs/_build/html/index.html

params: .venv/.synced ## compose params.yaml anew from conf/; DATASET=avmnist chooses the data set
	@$(BIN)/python -m umemma.composition write $${DATASET:+"dataset=$$DATASET"}

ui: .venv/.synced ## MLflow's pages on http://127.0.0.1:5000, until Ctrl-C; of the store in MLFLOW_TRACKING_URI, if set
	@$(TIED) -m umemma.tracking.ui "$${PORT:-5000}"

log: .venv/.synced ## log to MLflow what could not be logged in its run, and the last run if it is not there
	@$(BIN)/python -m stages.report --log

serve: .venv/.synced ## the last run's model answers on http://127.0.0.1:8000, until Ctrl-C: ALLOW=photos, ARGS="--rows 10"
	@set -f; $(TIED) -m umemma serve "$${MODEL:-data/export}" --port "$${PORT:-8000}" \
	  $${ALLOW:+--allow "$$ALLOW"} $$ARGS

grow: .venv/.synced .dvc/tmp ## a model that keeps MODEL's answers and gains or loses modalities: MODEL=models:/umemma-films@champion
	@set -f; $(BIN)/python -m flows.grow "$$MODEL" $${DATASET:+"dataset=$$DATASET"} $$ARGS
	@$(MAKE) -s run DATASET=

promote: .venv/.synced ## the last run's model becomes the champion if it is no worse: EXP=name ACCEPT="why" ARGS=--rollback
	@set -f; $(BIN)/python -m flows.promote $${EXP:+--experiment "$$EXP"} $${ACCEPT:+--accept "$$ACCEPT"} $$ARGS

monitor: .venv/.synced ## what the answers in LOG are worth today, and what changed since the test: SINCE=24h LABELS=file.csv
	@set -f; $(BIN)/python -m umemma monitor "$${LOG:-answers}" --model "$${MODEL:-data/export}" \
	  $${SINCE:+--since "$$SINCE"} $${LABELS:+--labels "$$LABELS"} $$ARGS

trace: .venv/.synced ## where an answer or model comes from, or what was made of data: ID=...; TO=folder restores the model
	@set -f; $(BIN)/python -m flows.trace $${TO:+--restore "$$TO"} $$ARGS -- "$$ID"

up: .venv/.synced ## Prefect server, work pool, worker and deployments on loopback
	@$(BIN)/python -m flows.server up

down: .venv/.synced ## stop what `make up` started
	@$(BIN)/python -m flows.server down

status: .venv/.synced ## server, worker, runs under way, the last run, schedules, who has workspace and GPU
	@$(BIN)/python -m flows.server status

data-docs: .venv/.synced ## Great Expectations' Data Docs of the last validation, in data/docs
	@$(BIN)/python -m stages.validate --data-docs data/docs

lock: $(UV) ## pin what pyproject.toml asks for into requirements.txt, with hashes and without addresses
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  pyproject.toml --extra dev -o requirements.txt

prune: .venv/.synced ## what nothing needs any more, and how much it is; YES=1 removes it: DAYS=90 LOG=answers
	@[ "$$YES" = 1 ] && set -- --yes; $(BIN)/python -m flows.prune $${DAYS:+--days "$$DAYS"} $${LOG:+--log "$$LOG"} "$$@"

audit: $(UV) ## known vulnerabilities of what requirements.txt pins, where the advisory database can be reached
	@$(PYTHON) .ci/audit.py

clean: ## remove what can be made again: environment, caches, data, runs (asks git what is ignored)
	@git clean -fdX -q

# A package whose installation was killed half-way may pass for installed: what was not finished is begun anew.
.venv/.synced: requirements.txt pyproject.toml | $(UV)
	@echo "setting up .venv: about 6 GB of packages, once"
	@[ ! -e .venv/.syncing ] && $(BIN)/python -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null || \
	  $(UV) venv -q --clear --python $(PYTHON) .venv
	@touch .venv/.syncing
	@$(UV) pip sync -q --python $(BIN)/python --require-hashes requirements.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --editable .
	@rm .venv/.syncing && touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 is older than 3.11; set PYTHON=")'
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-warn-script-location --root-user-action=ignore --target .tools.part --upgrade "uv>=0.9,<0.14"
	@rm -rf .tools && mv .tools.part .tools

.dvc/tmp:
	@mkdir -p $@
