#!/usr/bin/env bash
# Writes the pinned, hashed requirement files; `make lock` calls it. The development lock is resolved first,
# the others are constrained by it, so that a test runs against the versions that an image carries.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() {
    local out="requirements/$1.txt"
    shift
    uv pip compile --quiet --override requirements/overrides.in --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --no-emit-package kelong-contract --no-emit-package kelong-speech --output-file "$out" "$@"
}

lock development requirements/development.in {contract,speech,operator,trainer,inference}/pyproject.toml
lock bootstrap --constraint requirements/development.txt requirements/bootstrap.in
lock operator --constraint requirements/development.txt {contract,operator}/pyproject.toml
lock torch --constraint requirements/development.txt requirements/torch.in
lock trainer --constraint requirements/development.txt {contract,speech,trainer}/pyproject.toml
lock inference --constraint requirements/development.txt {contract,speech,inference}/pyproject.toml
lock standin --no-deps --constraint requirements/development.txt requirements/standin.in
