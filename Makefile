# make check    ruff, the type checker and the word list: about a minute
# make unit     the tests that import no Axolotl: under a minute
# make test     all tests but the slow ones
# make lm-eval  the tests of the tasks on lm_eval 0.4.13, which no Axolotl asks for yet
# make slow     the slow tests
# make results  docs/results.md from the files in docs/results; fails if the page differed
# make demo     the quickstart: trains two arms of a small model and prints what each learned to say
# Each sets up $(VENV) from this folder first. PYTHON=python3.12 make ... chooses the interpreter.
PYTHON ?= python3
VENV ?= .venv
AXOLOTL ?= axolotl
BIN := $(VENV)/bin
# Snakemake has an environment of its own, for the tests of example_configs/studies
SNAKEMAKE_VENV ?= .venv-snakemake
# a process of tests per core, each with one thread
WORKERS ?= $(shell nproc 2> /dev/null || echo 1)
PYTEST = SNAKEMAKE=$(abspath $(SNAKEMAKE_VENV))/bin/snakemake OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal
UNIT = tests/labels tests/render tests/loss/test_loss.py tests/loss/test_objectives.py tests/label_stats/test_words.py \
	$(addprefix tests/labeling/, test_spans.py test_patterns.py test_entities.py test_dolma.py test_cache.py text/test_fold.py) \
	$(addprefix tests/evals/, test_options.py test_names.py)

# lm_eval 0.4.13 laid over the environment's own release
LM_EVAL = $(VENV)/lm_eval-0.4.13
.PHONY: check unit test lm-eval slow results demo clean

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/words.py
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(VENV)/.ready
	PYTHONPATH=tests $(PYTEST) -p helpers.no_axolotl -m "not slow and not with_axolotl" $(UNIT)

test: $(VENV)/.ready $(SNAKEMAKE_VENV)/.ready
	$(PYTEST) -m "not slow"

lm-eval: $(VENV)/.ready
	test -d $(LM_EVAL) || $(BIN)/python -m pip install --quiet --no-deps --target=$(LM_EVAL) lm-eval==0.4.13
	PYTHONPATH=$(abspath $(LM_EVAL)) $(PYTEST) $(addprefix tests/evals/, test_audit_tasks.py test_backends.py test_recomputed.py \
		test_whole_texts.py \
		test_commands.py::test_two_ranks_measure_as_one)

slow: $(VENV)/.ready $(SNAKEMAKE_VENV)/.ready
	$(PYTEST) -m slow

results: $(VENV)/.ready
	$(BIN)/python docs/make_results.py

demo: $(VENV)/.demo
	@$(BIN)/python -m axolotl_slung.demo

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[demo,dev,test]" "$(AXOLOTL)"
	touch $@ $(VENV)/.demo

$(SNAKEMAKE_VENV)/.ready:
	$(PYTHON) -m venv $(SNAKEMAKE_VENV)
	$(SNAKEMAKE_VENV)/bin/python -m pip install --quiet "snakemake>=9.27,<10" snakemake-executor-plugin-slurm \
		snakemake-executor-plugin-kubernetes snakemake-storage-plugin-fs && touch $@ || \
		echo "Snakemake could not be installed: the tests of example_configs/studies are skipped"

# what the demo needs, and nothing for tests
$(VENV)/.demo: pyproject.toml
	@echo "Set-up: installing the demo into $(VENV) (about 5 minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[demo]" "$(AXOLOTL)"
	touch $@

clean:
	rm -rf .venv .venv-* demo
