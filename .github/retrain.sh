#!/usr/bin/env bash
# Submits pipeline.yaml, waits, and treats a refusal by the gate as what it is: a night without a better model.
set -uo pipefail

# An empty variable is not passed on: a client would read an empty address or token as one that is set.
options=""
for name in AWS_ENDPOINT_URL AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN; do
  if [ -n "${!name:-}" ]; then options+=" --env $name"; fi
done
if [ -n "${GOOGLE_APPLICATION_CREDENTIALS:-}" ]; then
  # As this user, who alone may read the file.
  options+=" --user $(id -u) --volume '$GOOGLE_APPLICATION_CREDENTIALS:/tmp/google.json:ro'"
  options+=" --env GOOGLE_APPLICATION_CREDENTIALS=/tmp/google.json"
fi
make --no-print-directory submit EXPERIMENT=nightly SUBMIT_OPTIONS=--wait SUBMIT_ENV="$options" 2>&1 | tee submit.log
# make reports every failure as 2; the verdict is in the output.
code=${PIPESTATUS[0]}
verdict=$(sed -n 's/^verdict: \([A-Z_]*\).*/\1/p' submit.log | tail -1)
echo "verdict: ${verdict:-none} (exit code $code)" >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
case "$verdict" in
  BLESSED | NOT_BLESSED) exit 0 ;;
  *) exit 1 ;;
esac
