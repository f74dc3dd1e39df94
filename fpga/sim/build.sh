#!/bin/bash
# Builds the simulated board, its stub and their tests, and prints the directory they are in.
#
#   fpga/sim/build.sh [--install-deps] [--stub-only] [--tests] [NAME=VALUE...]
#
# --tests prints a second line: the directory of the tests. NAME=VALUE set parameters of physring_core (DATA_BITS=128 QUEUES=2). --stub-only builds what needs no Verilator.
# --install-deps installs missing system packages with apt; without it the one line to type is printed, exit status 4.
# Results are kept in ${PHYSRING_FPGA_CACHE:-~/.cache/physring/fpga}, named by the contents of all sources: the same
# sources are built once on a machine.
set -euo pipefail

sim=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$sim/../.." && pwd)
cache=${PHYSRING_FPGA_CACHE:-$HOME/.cache/physring/fpga}

install_deps=false stub_only=false tests=false
parameters=(DATA_BITS=64 ID_BITS=4 QUEUES=4 EXECUTORS=2)
for argument; do
	case $argument in
	--install-deps) install_deps=true ;;
	--stub-only) stub_only=true ;;
	--tests) tests=true ;;
	[A-Z]*=*) parameters+=("$argument") ;;
	*) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
	esac
done

packages=()
command -v g++ >/dev/null || packages+=(g++)
command -v make >/dev/null || packages+=(make)
$stub_only || command -v verilator >/dev/null || packages+=(verilator)
if [ ${#packages[@]} != 0 ]; then
	if ! $install_deps; then
		echo "missing: apt-get install -y --no-install-recommends ${packages[*]}   (or: --install-deps)" >&2
		exit 4
	fi
	apt-get -o DPkg::Lock::Timeout=600 update -qq >&2
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

# The last value of a parameter counts.
declare -A value=()
for parameter in "${parameters[@]}"; do value[${parameter%%=*}]=${parameter#*=}; done
generics=()
for name in $(printf '%s\n' "${!value[@]}" | sort); do generics+=("-G$name=${value[$name]}"); done

# build NAME FILES... -- COMMAND...: runs the command in a new directory of the cache unless the same was built before; prints the directory.
build() {
	local name=$1 files=() key place status
	shift
	while [ "$1" != -- ]; do files+=("$1"); shift; done
	shift
	key=$(cat "${files[@]}" <(echo "$*" "$(declare -f "$1")" "$(g++ --version | head -1)") | sha256sum | cut -c1-16)
	place=$cache/$name-$key
	if [ ! -e "$place" ]; then
		rm -rf "$place.new"
		mkdir -p "$place.new"
		# The command's directory is its last word; its output is shown when it fails. Not `if !`: that would switch -e off inside.
		set +e
		(set -e; "$@" "$place.new") >"$place.new/log" 2>&1
		status=$?
		set -e
		[ $status = 0 ] || { cat "$place.new/log" >&2; exit 1; }
		mv "$place.new" "$place"
	fi
	touch "$place"
	echo "$place"
}

flags=(-std=c++17 -O2 -Wall -Wextra -Werror -pthread "-I$project/include" "-I$sim")
common=(agent axi_checker axi_memory axil_driver board_directory cache_memory files ivshmem machine options process register_mirror report weak_memory)

compile_common() {
	printf '%s\n' "${common[@]}" | xargs -P 2 -I{} g++ "${flags[@]}" -c -o "$1/{}.o" "$sim/{}.cpp"
	ar rcs "$1/libboard.a" "$1"/*.o
}

link_stub() { g++ "${flags[@]}" -o "$2/stub" "$sim/stub.cpp" "$1/libboard.a"; }
link_tests() {
	g++ "${flags[@]}" -o "$2/axi_test" "$sim/test/axi_test.cpp" "$1/libboard.a"
	printf '%s\n' "$sim"/test/conformance/*.cpp | xargs -P 2 -I{} sh -c 'cd "$1"; shift; g++ "$@" -c {}' sh "$2" "${flags[@]}"
	g++ "${flags[@]}" -o "$2/conformance" "$2"/*.o "$1/libboard.a"
	rm "$2"/*.o
}

# verilated.cpp is most of a build's time and never changes.
compile_verilated() {
	local root
	root=$(verilator --getenv VERILATOR_ROOT)
	for file in verilated verilated_threads; do
		g++ -std=c++17 -O2 -pthread -DVM_TRACE=0 -DVM_COVERAGE=0 -DVM_SC=0 -faligned-new "-I$root/include" "-I$root/include/vltstd" -c -o "$1/$file.o" "$root/include/$file.cpp"
	done
}

compile_model() { # GENERICS... PLACE
	local place=${*: -1}
	verilator --cc -O3 --x-assign unique --x-initial unique --assert -Wno-fatal --top-module physring_core "${@:1:$#-1}" --Mdir "$place" "${rtl[@]}"
	make -s -C "$place" -f Vphysring_core.mk -j 2 OPT_FAST=-O2 Vphysring_core__ALL.a
}

link_board() { # COMMON VERILATED MODEL STUB PLACE
	local root
	root=$(verilator --getenv VERILATOR_ROOT)
	cp "$4/stub" "$5/"
	g++ "${flags[@]}" -DVM_TRACE=0 -DVM_COVERAGE=0 -DVM_SC=0 -faligned-new "-DCORE_ID_BITS=${value[ID_BITS]}" -isystem "$root/include" -isystem "$root/include/vltstd" -isystem "$3" -o "$5/board" "$sim/board.cpp" \
		"$1/libboard.a" "$3/Vphysring_core__ALL.a" "$2/verilated.o" "$2/verilated_threads.o"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
find "$cache" -mindepth 1 -maxdepth 1 -mtime +3 -exec rm -rf {} +

headers=("$sim"/*.h "$project"/include/physring_fpga.h)
common_place=$(build common "$sim"/*.cpp "${headers[@]}" -- compile_common)
stub_place=$(build stub "$sim"/*.cpp "${headers[@]}" -- link_stub "$common_place")
if $stub_only; then
	echo "$stub_place"
	exit 0
fi
# The package goes first: it declares what the others use.
rtl=("$project"/fpga/rtl/pr.sv)
for file in "$project"/fpga/rtl/*.sv; do [ "$file" = "${rtl[0]}" ] || rtl+=("$file"); done
verilated_place=$(build verilated "$(command -v verilator)" -- compile_verilated)
model_place=$(build model "${rtl[@]}" -- compile_model "${generics[@]}")
build board "$sim"/*.cpp "${headers[@]}" -- link_board "$common_place" "$verilated_place" "$model_place" "$stub_place"
$tests && build tests "$sim"/test/*.cpp "$sim"/test/conformance/* "$sim"/*.cpp "${headers[@]}" -- link_tests "$common_place"
exit 0
