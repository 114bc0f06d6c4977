# SPDX-License-Identifier: MIT
#
# The front door: `make` alone says what there is. Meson does the work, one build folder per kind.

PREFIX   ?= /usr/local
DESTDIR  ?=
ARGS     ?=
SECONDS  ?= 60
SEEDS    ?= 1000
PYTHON   ?= /usr/bin/python3
JOBS     := $(shell nproc)
# The folder in build/ that `make install` builds in; tests take another, which no root owns.
STAGE    ?= install

options-release := -Db_ndebug=true -Dtests=false -Dexamples=false
options-$(STAGE) := $(options-release) -Dman=true
options-test    := -Dwerror=true
options-asan    := -Dwerror=true -Doptimization=1 -Db_sanitize=address,undefined
options-tsan    := -Dwerror=true -Doptimization=1 -Db_sanitize=thread
options-fuzz    := -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true -Dexamples=false
options-bench   := -Db_ndebug=true -Dtests=false -Dexamples=false -Dbench=true
# What `make ktls` runs.
in-vm           := $(addprefix tests/unit/unit_,tls_kernel http_https_kernel tls_stream \
                   tls_capture callback_tls tls_torture)
sysroot         := build/sysroot-aarch64
options-aarch64 := -Dwerror=true --cross-file $(sysroot)/where.ini --cross-file tools/aarch64.ini
build/fuzz/build.ninja: export CC = clang

.NOTPARALLEL:
.PHONY: help serve test sim soak check bench asan tsan valgrind fuzz aarch64 ktls format deps install clean

help:                 ## this list
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

serve: setup-build build/release/build.ninja  ## build, then serve the built-in site; ARGS="DIR --listen ..." for yours
	@ninja -C build/release -j $(JOBS)
	@build/release/thrum/thrum serve $(ARGS)

test: setup-build setup-test build/test/build.ninja  ## build, then all tests
	@ninja -C build/test -j $(JOBS)
	@tools/run_tests.py build/test

sim: setup-build setup-test build/test/build.ninja  ## the simulated scenarios under many seeds; SEEDS=1000
	@ninja -C build/test -j $(JOBS)
	@THRUM_SIM_SEEDS=$(SEEDS) CK_TIMEOUT_MULTIPLIER=20 meson test -C build/test --no-rebuild --print-errorlogs --suite sim --timeout-multiplier 20

soak: setup-build setup-test build/test/build.ninja  ## random programs for SECONDS=60 that must not be reported as deadlocks
	@ninja -C build/test -j $(JOBS)
	@for program in build/test/tests/soak/soak_*; do [ -d $$program ] || THRUM_SOAK_SECONDS=$(SECONDS) $$program || exit 1; done

check: setup-build setup-test setup-check build/test/build.ninja  ## format, layers, sizes, symbols, headers, docstrings, clang-tidy
	@ninja -C build/test -j $(JOBS)
	@tools/run_checks.py build/test

bench: setup-build setup-bench build/bench/build.ninja  ## Thrum and its peers side by side; ARGS="--quick"
	@ninja -C build/bench -j $(JOBS)
	@$(PYTHON) bench/run.py --build build/bench $(ARGS)

asan: setup-build setup-test build/asan/build.ninja  ## all tests under the address, leak and undefined behaviour sanitizers
	@ninja -C build/asan -j $(JOBS)
	@tools/run_tests.py --slow 3 build/asan

tsan: setup-build setup-test build/tsan/build.ninja  ## all tests under the thread sanitizer
	@ninja -C build/tsan -j $(JOBS)
	@tools/run_tests.py --slow 5 build/tsan

valgrind: setup-build setup-test setup-debug build/test/build.ninja  ## the unit tests under valgrind
	@ninja -C build/test -j $(JOBS)
	@tools/run_tests.py --valgrind --slow 20 build/test

fuzz: setup-build setup-test setup-debug build/fuzz/build.ninja  ## every fuzz target for SECONDS=60; ARGS="TARGET..." picks some
	@ninja -C build/fuzz -j $(JOBS)
	@tools/fuzz.sh build/fuzz $(SECONDS) $(ARGS)

aarch64: setup-build setup-cross build/aarch64/build.ninja  ## cross build, and the unit tests under emulation
	@ninja -C build/aarch64 -j $(JOBS)
	@tools/run_tests.py --unit --slow 10 build/aarch64

ktls: setup-build setup-test setup-vm build/test/build.ninja  ## TLS in the kernel: its tests in an emulated machine with Debian's kernel
	@ninja -C build/test -j $(JOBS) tests/vm/vm_init $(in-vm)
	@tools/vm.py build/test $(addprefix build/test/,$(in-vm))

format:               ## format every C file in place
	@git ls-files '*.c' '*.h' | xargs clang-format -i

deps: setup-build setup-test setup-debug setup-cross setup-vm setup-bench setup-check  ## install every Debian package that any of these needs

install: setup-build build/$(STAGE)/build.ninja  ## library, headers, program, manual; PREFIX=/usr/local DESTDIR=
	@meson configure build/$(STAGE) -Dprefix=$(PREFIX)
	@ninja -C build/$(STAGE) -j $(JOBS) --quiet
	@DESTDIR=$(DESTDIR) meson install -C build/$(STAGE) --no-rebuild --quiet
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true

clean:                ## forget all builds
	rm -rf build

setup-%:
	@tools/setup.sh $*

$(sysroot)/where.ini: tools/aarch64_sysroot.sh
	@tools/aarch64_sysroot.sh $(@D)

build/aarch64/build.ninja: $(sysroot)/where.ini

build/%/build.ninja:
	@meson setup $(@D) $(options-$*) >/dev/null || { cat $(@D)/meson-logs/meson-log.txt | tail -5; exit 1; }
