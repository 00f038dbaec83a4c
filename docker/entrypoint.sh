#!/bin/sh
# The image's entry point: `docker run reefline local_runner.py …` runs a script, `docker run reefline reefline doctor` a command.
case "${1:-}" in
  *.py) exec python "$@" ;;
  *) exec "$@" ;;
esac
