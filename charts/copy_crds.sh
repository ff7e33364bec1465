#!/usr/bin/env bash
# Copies the CRDs of record into the chart's templates, behind the switch crds.install. Helm never upgrades CRDs that
# lie in its own crds/ folder, so they are templates; their keep policy is in the files themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
for source in crds/*.yaml; do
    {
        echo '{{- if .Values.crds.install }}'
        cat "$source"
        echo '{{- end }}'
    } >"charts/kelong/templates/crd-$(basename "$source")"
done
