#!/usr/bin/env bash
# Fails when one of the models given would be faster on this machine with other widths; says which and by how much.
#
#     models_are_aligned.sh MODEL.onnx...
#
# SNAPPRUNE_FLAGS (default: --cpu --threads 1) says where and how it is measured.
set -uo pipefail
flags=${SNAPPRUNE_FLAGS:---cpu --threads 1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
status=0
for model in "$@"; do
    # shellcheck disable=SC2086  # the flags are several words
    said=$(snapprune "$model" $flags --no-dynamic --staircases 0s -o "$folder/new.onnx" 2>&1)
    case $? in
    0)
        echo "$model has misaligned widths: $(grep -o 'ratio 0[.0-9]*' <<<"$said" | head -1) would be possible; commit the result of: snapprune $model $flags"
        status=1
        ;;
    1) echo "$model has aligned widths" ;;
    *)
        echo "$model: $said"
        exit 2
        ;;
    esac
done
exit $status
