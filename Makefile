# make study   run the default study and write reports/default/report.html
# make test    run the tests
# make lab     open the notebooks in JupyterLab
# make readme  put the verdicts of reports/default and reports/full into README.md
# make bench   measure speed, also beside RecBole, baselines, the decision rule's errors and the time of the commands in a
#              fresh clone (a day); GRU4REC=DIR, your clone of official GRU4Rec's PyTorch port, measures beside it too
# make bench-quick   print the key speed ratios beside the committed ones (minutes)
# make lint    check code and notebooks;  make format  put them in shape
# make recbole-env   install RecBole 1.2.1 into .venv-recbole (Python 3.11), for benchmarks/recbole_*.py
# make clean   remove the virtual environment and all results of runs
#
# Each command installs what it needs into .venv first and is quick the second time.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
STUDY ?= studies/default.yaml
RECBOLE_PYTHON ?= python3.11

.PHONY: setup study test lab readme bench bench-quick lint format recbole-env clean
.DEFAULT_GOAL := study

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,lint]'
	touch $@

study: setup
	$(BIN)/gru4recf study $(STUDY) --jobs $(JOBS)

test: setup
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal --quiet

# kernels work in notebooks/, where a path relative to here would lead elsewhere
lab: setup
	GRU4RECF_DATA="$${GRU4RECF_DATA:+$$(cd "$$GRU4RECF_DATA" && pwd)}" $(BIN)/jupyter lab notebooks

readme: setup
	$(BIN)/python -m gru4recf.reading README.md $(foreach study,default full equal_settings,reports/$(study)/verdict.json)

bench: setup recbole-env
	$(BIN)/python benchmarks/training.py eshop onlineretail
	$(BIN)/python benchmarks/recurrent.py
	$(BIN)/python benchmarks/softmax.py
	$(BIN)/python benchmarks/operators.py
	$(BIN)/python benchmarks/sampled.py
	$(BIN)/python benchmarks/cost.py
	$(BIN)/python benchmarks/input.py
	$(BIN)/python benchmarks/batching.py
	$(BIN)/python benchmarks/baselines.py
	$(BIN)/python benchmarks/tuned_baselines.py
	$(BIN)/python benchmarks/bootstrap.py
	$(BIN)/python benchmarks/interval_coverage.py
	$(BIN)/python benchmarks/simulated_studies.py
	$(BIN)/python benchmarks/reference_point.py
	$(BIN)/python benchmarks/recbole_speed.py
	$(BIN)/python benchmarks/recbole_speed.py --until-best ml-100k
	$(BIN)/python benchmarks/recbole_speed.py --until-best eshop-10pct
	$(if $(GRU4REC),$(BIN)/python benchmarks/gru4rec_speed.py --gru4rec $(GRU4REC))
	$(BIN)/python benchmarks/speed_report.py
	$(BIN)/python benchmarks/study.py

bench-quick: setup
	$(BIN)/python benchmarks/quick.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb

format: setup
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .
	$(BIN)/nbstripout --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb

recbole-env: .venv-recbole/.installed

.venv-recbole/.installed: benchmarks/recbole/requirements.txt
	$(RECBOLE_PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "RecBole needs Python 3.11; name one with make RECBOLE_PYTHON=...")'
	$(RECBOLE_PYTHON) -m venv .venv-recbole
	.venv-recbole/bin/python -m pip install --quiet --disable-pip-version-check --requirement benchmarks/recbole/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-recbole runs build *.egg-info
