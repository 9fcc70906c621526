# Everything runs in .venv, which the first command makes, with the first of these Pythons that is 3.11 to 3.14.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do $$p -c "$(SUPPORTED)" 2> /dev/null && echo $$p && break; done)
VENV := $(CURDIR)/.venv
export PATH := $(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo gtzan mine check test lint leak cv search card bench scale lock platforms clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock requirements-torch.txt pyproject.toml
	@"$(PYTHON)" -c "$(SUPPORTED)" 2> /dev/null || { echo "error: Python 3.11 to 3.14 is needed, found: $(or $(PYTHON),none); install one or name it: make demo PYTHON=/path/to/python3.13" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY) ## run the whole pipeline on the synthesised demo data set, offline, and show what came out
	dvc repro
	@python -m stages.summary

gtzan: $(READY) ## run the pipeline on GTZAN, its fault-filtered split; GTZAN=/path/to/copy names a local one, PARTIAL=1 accepts a part of it
	dvc exp run -S dataset.name=gtzan -S "dataset.gtzan.path='$(GTZAN)'" -S dataset.gtzan.partial=$(if $(PARTIAL),true,false) -S segment.protocol=$(if $(PARTIAL),track,official) -S external.online=true
	@python -m stages.summary

mine: music $(READY) ## train a model of your own genres on all of MUSIC=/path (<genre>/<file>) and score it on unheard artists (SETTINGS='key=value ...')
	dvc exp run -S dataset.name=folder -S "dataset.folder.path='$$({ case "$$MUSIC" in (*://*) echo "$$MUSIC";; (*) cd "$$MUSIC" && pwd;; esac; } | sed "s/'/\\\\'/g")'" \
		-S segment.protocol=all -S segment.seconds=30.0 -S segment.hop_seconds=15.0 -S model.type=musicnn -S model.musicnn.embedding=auto \
		-S augment.copies.pitch=0 -S augment.copies.tempo=0 $(foreach s,$(SETTINGS),-S $(s)) evaluate
	@python -m stages.summary

.PHONY: music
music: # before anything is installed; the shell's variable keeps any name of a folder as it is
	@[ -n "$$MUSIC" ] || { echo "error: MUSIC is missing: make mine MUSIC=/path/to/music, a folder that holds <genre>/<file>" >&2; exit 1; }
	@case "$$MUSIC" in (*://*) true;; (*) [ -d "$$MUSIC" ];; esac || { echo "error: MUSIC=$$MUSIC is not a folder; name one that holds <genre>/<file>, or a URL: s3://bucket/music" >&2; exit 1; }

check: $(READY) lint ## lint, type-check, check the direction of imports, and run the unit tests: two minutes
	pytest -q -n auto --maxprocesses 4 --dist worksteal tests/unit

test: $(READY) lint ## everything: as check, and the system tests
	pytest -q -n auto --maxprocesses 4 --dist worksteal --durations=20

lint: $(READY) ## lint, type-check, and check the direction of imports
	ruff check .
	ruff format --check .
	mypy
	lint-imports

leak: $(READY) ## train the same network under leaky and honest splits of the demo, several seeds: docs/leak.md (FEATURES=file.npz: on those)
	python -m experiments.leak $(FEATURES)

cv: $(READY) ## cross-validate over all folds of the artist protocol, several seeds: docs/cv.json and docs/cv.png (SETTINGS='train.epochs=20 ...')
	python -m experiments.cv $(foreach s,$(SETTINGS),-S $(s))

search: $(READY) ## queue a sweep of parameters (SPACE=experiments/search.txt), run it and print the ranked table
	python -m experiments.search $(SPACE)

card: $(READY) ## write MODEL_CARD.md from the model's metadata and metrics
	python -m stages.card

bench: $(READY) ## measure speed as ratios in one run; fails when one is missed
	python -m benchmarks.bench

scale: $(READY) ## measure seconds, memory and bytes of each stage as the number of tracks grows (TRACKS="100 1000 10000")
	python -m benchmarks.scale $(TRACKS)

lock: $(READY) ## write requirements.lock anew: exact versions with the hashes of all their files, for every platform
	mkdir -p .cache
	echo 'torch; python_version < "3"' > .cache/without-torch.txt
	printf 'jinja2\nsympy\n' | uv pip compile pyproject.toml - --all-extras --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
		--override .cache/without-torch.txt --no-header --no-annotate --quiet --output-file requirements.lock

platforms: $(READY) ## ask the package index whether the lock installs on every platform, without compiling: two minutes
	@for python in 3.11 3.12 3.13 3.14; do \
		for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin x86_64-pc-windows-msvc; do \
			MACOSX_DEPLOYMENT_TARGET=14.0 uv pip compile requirements.lock requirements-torch.txt --python-version $$python --python-platform $$platform \
				--only-binary :all: --no-binary antlr4-python3-runtime --no-header --no-annotate --quiet > /dev/null || exit 1; \
			echo "Python $$python, $$platform: resolves"; \
		done; \
	done

clean: ## remove what the pipeline made (not the environment, not the DVC cache)
	rm -rf data/raw data/index data/features data/model data/external .checkpoints
