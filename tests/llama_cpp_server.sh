#!/bin/sh
# Tests Tripos against a real server of the OpenAI API: installs llama-cpp-python[server] from PyPI into target/ (it compiles
# llama.cpp, 10 minutes and more), and runs tests/llama_cpp_server.rs. Where it cannot be installed it skips, and says why.
set -u
cd "$(dirname "$0")/.." || exit 1
venv=target/llama-cpp-python
log=target/llama-cpp-python.log
skip() {
	echo "skipped: $1"
	exit 0
}
mkdir -p target
if [ -n "${TRIPOS_TEST_PYTHON:-}" ]; then
	echo "with $TRIPOS_TEST_PYTHON"
elif ! "$venv/bin/python" -c "import llama_cpp.server.app" 2>/dev/null; then
	command -v python3 >/dev/null || skip "there is no python3"
	python3 -m venv "$venv" >"$log" 2>&1 || skip "python3 -m venv fails: $(tail -n 1 "$log")"
	"$venv/bin/pip" install 'llama-cpp-python[server]' >"$log" 2>&1 || skip "pip install fails: $(tail -n 1 "$log") ($log)"
fi
exec cargo test --release --test tests -- a_real_server_says --nocapture
