# Tripos, from a bare machine to a table: `make demo`. Needs git, make, curl and Rust; `make deps` adds the rest.
#
# There is one profile, `release`: every other one would compile llama.cpp anew, 5 to 10 minutes each.
# No target sets RUSTFLAGS: that variable replaces .cargo/config.toml, and with it the instructions of this machine.

.DEFAULT_GOAL := help
.PHONY: help deps flags browser build demo model rl-figures test check bench portable install clean

# The oldest Rust that compiles this, as Cargo.toml says.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# A Rust installed a minute ago is found without opening a new terminal.
export PATH := $(PATH):$(HOME)/.cargo/bin
# bindgen does not look where Homebrew keeps libclang on Apple silicon. Expanded late: `deps` may have just put it there.
brew_llvm = $(wildcard /opt/homebrew/opt/llvm/lib/libclang.dylib)
cargo = $(if $(LIBCLANG_PATH),,$(brew_llvm:%/libclang.dylib=LIBCLANG_PATH=%)) cargo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile

deps: ## install what the build needs and this machine lacks
	@$(need_rust)
	@$(need_tools)

build: deps flags ## compile for the CPU of this machine
	$(cargo) build --release --locked

demo: build ## compare six ways of asking for sums, on the bundled model
	target/release/tripos run suites/arithmetic.yaml

# What training writes is too exact to be small: it is quantised, and only that is committed.
model: build ## make the bundled models anew, from nothing (about 90 minutes on two cores)
	target/release/tripos train recipes/tiny/pretrain.yaml
	target/release/tripos quantize models/tripos-tiny-base.full.gguf models/tripos-tiny-base.gguf --type q8_0
	target/release/tripos train recipes/tiny/sft.yaml
	target/release/tripos quantize models/tripos-tiny.full.gguf models/tripos-tiny.gguf --type q8_0
	target/release/tripos train recipes/tiny/reward.yaml
	target/release/tripos quantize models/tripos-tiny-reward.full.gguf models/tripos-tiny-reward.gguf --type q4_0

# One file a recipe and seed; what is there is not made again, and a run that was cut goes on. With its file deleted one is made anew.
FIGURES := $(foreach recipe,grpo ppo judged_ppo dpo,$(foreach seed,1 2 3,$(recipe)-$(seed))) longer_ppo-1

rl-figures: build $(FIGURES:%=recipes/tiny/figures/%.json) ## what practice comes to, on three seeds (about an hour)

recipes/tiny/figures/%.json:
	@mkdir -p $(@D)
	target/release/tripos train recipes/tiny/$(firstword $(subst -, ,$*)).yaml --seed $(lastword $(subst -, ,$*)) \
		--out reports/figures/$* $$(ls -d reports/figures/$*/*/ >/dev/null 2>&1 && echo --resume) --format json >$@.part
	sed 's|$(CURDIR)/||g' $@.part >$@ && rm $@.part

test: deps flags browser ## run the tests
	$(cargo) test --release --locked

check: deps ## formatting, lints, documentation
	$(cargo) fmt --check
	$(cargo) clippy --release --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(cargo) doc --release --no-deps --locked

bench: deps flags ## measure speed and memory
	$(cargo) bench --profile release --locked

# Flags given as build.rustflags would be joined to those of .cargo/config.toml, and llama.cpp compiled with the first
# target-cpu it meets, `native`. Flags of a target replace them.
portable: deps ## compile for x86-64 machines since 2013, into target/portable
	env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS $(cargo) build --release --locked --target-dir target/portable \
		--config "target.'cfg(all())'.rustflags = ['-C', 'target-cpu=x86-64-v3']"

install: deps flags ## put tripos among your own programs (~/.cargo/bin)
	$(cargo) install --path . --locked

clean: ## delete everything compiled
	$(cargo) clean

flags:
	@[ -z "$${RUSTFLAGS+set}$${CARGO_ENCODED_RUSTFLAGS+set}" ] || echo "warning: RUSTFLAGS is set and replaces \
	the flags in .cargo/config.toml: without target-cpu=native, inference is several times slower" >&2

browser:
	@$(want_browser)

# Says how to get Rust; it is not installed behind anyone's back.
define need_rust
if ! command -v cargo >/dev/null; then \
	echo "error: no cargo on this machine (Rust $(RUST) or newer is needed)" >&2; \
	echo "  help: curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y" >&2; exit 1; \
fi; \
found=$$(rustc --version | cut -d' ' -f2); \
if [ "$$(printf '%s\n' $(RUST) "$$found" | sort -V | head -n 1)" != $(RUST) ]; then \
	echo "error: Rust $$found is too old: $(RUST) or newer is needed" >&2; \
	echo "  help: rustup update stable" >&2; exit 1; \
fi
endef

# bindgen reads llama.cpp's headers with libclang: the library, and the headers of a compiler that lie near it.
LLVM := /usr/lib /usr/lib64 /usr/lib/llvm*/lib /usr/lib64/llvm*/lib /usr/local/lib /usr/local/opt/llvm*/lib \
	/opt/homebrew/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib

define need_tools
has() { command -v "$$1" >/dev/null; }; \
any() { ls -d "$$@" 2>/dev/null | grep -q .; }; \
need=; \
has cmake || need="$$need cmake"; \
{ has cc && has c++; } || need="$$need c++"; \
[ -n "$$LIBCLANG_PATH" ] || \
	{ any $(LLVM:%=%/libclang.[sd]*) && any $(LLVM:%=%/clang/*/include/stdbool.h); } || need="$$need libclang"; \
[ -n "$$need" ] || exit 0; \
echo "the build needs, and this machine lacks:$$need"; \
if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
packages() { echo "$$need" | sed "s/c++/$$1/; s/libclang/$$2/"; }; \
if has apt-get; then \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends $$(packages g++ libclang-dev); \
elif has dnf; then $$sudo dnf install -y $$(packages gcc-c++ clang); \
elif has pacman; then $$sudo pacman -Sy --needed --noconfirm $$(packages gcc clang); \
elif has brew; then brew install $$(packages llvm llvm); \
else \
	echo "error: no apt-get, dnf, pacman or brew here" >&2; \
	echo "  help: install$$need yourself (LIBCLANG_PATH may say where libclang is)" >&2; exit 1; \
fi
endef

# The tests of the HTML report open it in a real Chromium. Where none can be installed they skip and say so; nothing fails,
# and nobody is asked for a password.
define want_browser
has() { command -v "$$1" >/dev/null; }; \
for name in chromium chromium-browser google-chrome google-chrome-stable; do ! has $$name || exit 0; done; \
[ ! -d "/Applications/Google Chrome.app" ] || exit 0; \
echo "the tests of the HTML report want a Chromium, and this machine lacks one"; \
if [ "$$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi; \
if has apt-get; then \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends chromium; \
elif has dnf; then $$sudo dnf install -y chromium; \
elif has pacman; then $$sudo pacman -Sy --needed --noconfirm chromium; \
elif has brew; then brew install --cask google-chrome; \
else false; fi || echo "note: no Chromium could be installed; tests that open the HTML report will skip" >&2
endef
