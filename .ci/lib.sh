# What the scripts of this folder share (sourced, not run).
# shellcheck shell=bash
# shellcheck source=../e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
cd "$root" || exit

passed=0 failed=0
# check WHAT COMMAND... - one check of a script; its output is shown if it fails.
check() {
    local what=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok      $what"
        passed=$(( passed + 1 ))
    else
        echo "FAILED  $what"
        echo "        ${output//$'\n'/$'\n'        }"
        failed=$(( failed + 1 ))
    fi
}
# The closing line that .ci/test sums up.
finish() {
    echo "$passed passed, $failed failed"
    (( failed == 0 ))
}
