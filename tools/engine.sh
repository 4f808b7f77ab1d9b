#!/usr/bin/env bash
#
# tools/engine.sh [start|stop|restart|status]
#
# A real Docker engine (dockerd with BuildKit, buildx, a loopback registry) on a bare Debian 12 or 13, as root, made from
# Debian's own packages. Nothing but runc, iptables and iproute2 is installed on the host: the engine is unpacked
# into CUDAFORGE_ENGINE_HOME and runs from there. stdout holds only `export` lines, meant for
#
#     eval "$(tools/engine.sh start)"
#
# An engine that is already reachable (Docker 26 or newer, with buildx) is used as it is, and then nothing is exported.
#
# Settings, all from the environment:
#   CUDAFORGE_ENGINE_HOME      where everything lives                     (/var/tmp/cudaforge-engine)
#   CUDAFORGE_ENGINE_NAME      an engine of that name, never a reachable one; several names run side by side (main)
#   CUDAFORGE_ENGINE_SUITES    Debian suites that may give the engine, tried in this order              (trixie sid)
#   CUDAFORGE_ENGINE_REGISTRY_PORT  the registry, on 127.0.0.1; 0: none   (5000)
#   CUDAFORGE_ENGINE_CDI_DIR   where the engine reads CDI specs, live     (a directory of its own)
#   CUDAFORGE_ENGINE_NVIDIA_DIR  holds nvidia-container-runtime and -hook; for --gpus and --runtime nvidia, needs a restart
#
# Exit codes: 0 good, 1 `status`: down, 2 wrong arguments, 3 no engine can be had here.

set -euo pipefail

ENGINE_HOME=${CUDAFORGE_ENGINE_HOME:-/var/tmp/cudaforge-engine}
ENGINE_NAME=${CUDAFORGE_ENGINE_NAME:-main}
# Trixie's Docker 26.1 and buildx 0.13 have all that cudaforge needs (rawjson progress, build secrets, cache mounts,
# oci-layout contexts, CDI), and a released suite does not change under a CI run the way sid does.
ENGINE_SUITES=${CUDAFORGE_ENGINE_SUITES:-trixie sid}
REGISTRY_PORT=${CUDAFORGE_ENGINE_REGISTRY_PORT:-5000}

STATE=$ENGINE_HOME/engines/$ENGINE_NAME
CDI_DIR=${CUDAFORGE_ENGINE_CDI_DIR:-$STATE/cdi}
NVIDIA_DIR=${CUDAFORGE_ENGINE_NVIDIA_DIR:-}
SOCKET=$STATE/docker.sock
OLDEST_DOCKER=26

say() { printf 'engine: %s\n' "$*" >&2; }

give_up() {
    say "$*"
    exit 3
}

refuse() {
    say "$*"
    exit 2
}

check_settings() {
    [[ $ENGINE_NAME =~ ^[a-z0-9][a-z0-9-]*$ ]] || refuse "CUDAFORGE_ENGINE_NAME takes a-z, 0-9 and '-', not '$ENGINE_NAME'"
    [[ $REGISTRY_PORT =~ ^[0-9]{1,5}$ ]] || refuse "CUDAFORGE_ENGINE_REGISTRY_PORT is no port: '$REGISTRY_PORT'"
    [[ $ENGINE_HOME == /* && ! $ENGINE_HOME =~ [[:space:]\"] ]] ||
        refuse "CUDAFORGE_ENGINE_HOME has to be an absolute path without spaces, quotes and backslashes: '$ENGINE_HOME'"
    # The kernel takes 107 bytes for a socket's path; containerd's is the longest one below STATE.
    ((${#STATE} <= 70)) || refuse "CUDAFORGE_ENGINE_HOME and CUDAFORGE_ENGINE_NAME are too long for a socket's path: $STATE"
}

# --- an engine that is there already -------------------------------------------------------------------------------

# The time-out: `docker version` hangs without end on a frozen daemon.
ask_docker() { timeout --kill-after=1 10 docker "$@" 2>/dev/null; }

server_version() { ask_docker version --format '{{.Server.Version}}'; }

is_reachable_engine_usable() {
    local version
    command -v docker >/dev/null || return 1
    version=$(server_version) || return 1
    if [[ ! ${version%%.*} =~ ^[0-9]+$ ]] || ((${version%%.*} < OLDEST_DOCKER)); then
        say "the reachable Docker $version is older than $OLDEST_DOCKER: starting another engine"
        return 1
    fi
    ask_docker buildx version >/dev/null || {
        say "the reachable Docker $version has no buildx: starting another engine"
        return 1
    }
    say "using the reachable Docker $version"
}

may_use_reachable_engine() {
    [[ -z ${CUDAFORGE_ENGINE_NAME:-} && ${DOCKER_HOST:-} != "unix://$SOCKET" ]]
}

# --- processes -----------------------------------------------------------------------------------------------------

# A pid file outlives its process, and the pid may by then be anyone's: the command line has to name the file given, too.
is_running() {
    local pid_file=$1 marker=$2 pid
    [[ -s $pid_file ]] || return 1
    pid=$(<"$pid_file")
    [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/cmdline ]] || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -- "$marker"
}

end_process() {
    local pid_file=$1 marker=$2 pid tries
    if is_running "$pid_file" "$marker"; then
        pid=$(<"$pid_file")
        kill "$pid" 2>/dev/null || true
        for ((tries = 0; tries < 150; tries++)); do
            is_running "$pid_file" "$marker" || break
            sleep 0.1
        done
        ! is_running "$pid_file" "$marker" || kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$pid_file"
}

# A daemon that kept the lock, or the pipe of `eval "$(...)"`, would make others wait for it.
launch() {
    local log=$1 descriptor
    shift
    (
        for descriptor in /proc/self/fd/*; do
            descriptor=${descriptor##*/}
            ((descriptor <= 2)) || eval "exec $descriptor>&-"
        done
        exec setsid "$@" >"$log" 2>&1 </dev/null
    ) &
}

# Counts time, not tries: each try may take its own time-out.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

# --- the host ------------------------------------------------------------------------------------------------------

check_host() {
    local hint="no Docker engine ($OLDEST_DOCKER or newer, with buildx) is reachable, and one can only be made"
    local release
    release=$(os_release VERSION_ID)
    [[ $(os_release ID) == debian && ${release:-12} -ge 12 ]] ||
        give_up "$hint on Debian 12 or newer: start one, or set DOCKER_HOST"
    ((EUID == 0)) || give_up "$hint by root: start one, set DOCKER_HOST, or run this as root"
}

os_release() { awk -F= -v key="$1" '$1 == key {gsub(/"/, "", $2); print $2}' /etc/os-release 2>/dev/null || true; }

install_host_packages() {
    local missing=() log=$ENGINE_HOME/host-packages.log
    command -v runc >/dev/null || missing+=(runc)
    command -v iptables >/dev/null || missing+=(iptables)
    command -v ip >/dev/null || missing+=(iproute2)
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    install_with_apt "${missing[@]}" >"$log" 2>&1 && return 0
    { apt-get update -q && install_with_apt "${missing[@]}"; } >>"$log" 2>&1 ||
        give_up "apt-get cannot install ${missing[*]}: $(tail -n 2 "$log")"
}

install_with_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
}

# The address of the host's own archive: the one that serves its release's main component.
archive_address() {
    local codename
    codename=$(os_release VERSION_CODENAME)
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        awk -v codename="${codename:-sid}" '
            function flush() { if (type ~ /deb( |$)/ && suites ~ " " codename " ") print uri; type = uri = suites = "" }
            /^[[:space:]]*#/ { next }
            /^[[:space:]]*$/ { flush(); next }
            $1 == "deb" { sub(/\[[^]]*\]/, ""); if ($3 == codename) print $2; next }
            $1 == "Types:" { flush(); type = $0 }
            $1 == "URIs:" { uri = $2 }
            $1 == "Suites:" { suites = $0 " " }
            END { flush() }' |
        head -n 1
}

# --- the engine's programs -----------------------------------------------------------------------------------------

has_programs() {
    local bin=$1/bin program
    for program in docker-proxy docker-init containerd-shim-runc-v2 docker-registry; do
        [[ -x $bin/$program ]] || return 1
    done
    "$bin/dockerd" --version && "$bin/docker" --version && "$bin/containerd" --version && "$bin/docker-buildx" version
} >/dev/null 2>&1

# apt with a state of its own; only how to reach an archive (proxies, certificates, time-outs) is the host's.
write_apt_config() {
    local apt=$1 suite=$2 address=$3
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
    : >"$apt/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$address" "$suite" >"$apt/sources.list"
    {
        printf 'Dir::Etc::%s "%s";\n' sourcelist "$apt/sources.list" sourceparts /dev/null parts /dev/null main /dev/null \
            preferences /dev/null preferencesparts /dev/null
        printf 'Dir::State "%s"; Dir::State::status "%s"; Dir::Cache "%s";\n' "$apt/state" "$apt/status" "$apt/cache"
        printf 'APT::Sandbox::User "root"; Acquire::Languages "none"; Acquire::Retries "3";\n'
        # A site's mirror may be a snapshot, older than its own expiry date; its signature is still checked.
        printf 'Acquire::Check-Valid-Until "false";\n'
        apt-config dump --format '%F "%v";%n' Acquire | grep -E '^Acquire::(http|https|ftp|cdrom|Check-)' || true
    } >"$apt/apt.conf"
}

download_suite() {
    local suite=$1 into=$2 apt=$2/apt init=tini-static address
    address=$(archive_address)
    [[ -n $address ]] || give_up "the sources of apt name no archive for this release (/etc/apt/sources.list, sources.list.d)"
    write_apt_config "$apt" "$suite" "$address"
    # tini was split after trixie.
    [[ $suite != trixie ]] || init=tini
    (
        cd "$into"
        export APT_CONFIG=$apt/apt.conf
        apt-get update -q && apt-get download -q docker.io docker-cli docker-buildx containerd docker-registry "$init"
    ) >"$ENGINE_HOME/download-$suite.log" 2>&1 || {
        say "$suite cannot be downloaded: $(grep '^E:' "$ENGINE_HOME/download-$suite.log" | head -n 1)"
        return 1
    }
}

unpack_suite() {
    local from=$1 into=$2 tree=$1/tree
    printf '%s\0' "$from"/*.deb | xargs -0 -P "$(nproc)" -I{} dpkg-deb -x {} "$tree" || return 1
    mkdir -p "$into/bin"
    mv "$tree"/usr/bin/{docker,containerd,containerd-shim-runc-v2,docker-registry} "$tree"/usr/sbin/{dockerd,docker-proxy} \
        "$tree"/usr/libexec/docker/cli-plugins/docker-buildx "$into/bin/" || return 1
    cp -L "$tree/usr/bin/tini-static" "$into/bin/docker-init"
}

# Made beside its place and renamed, so that an interrupted start leaves nothing that looks like an engine.
make_programs() {
    local suite=$1 scratch=$ENGINE_HOME/new-$1 made=
    say "fetching Docker from Debian $suite"
    rm -rf "$scratch"
    mkdir -p "$scratch/made"
    if download_suite "$suite" "$scratch" && unpack_suite "$scratch" "$scratch/made"; then
        adopt_programs "$suite" "$scratch/made" && made=yes
    fi
    rm -rf "$scratch"
    [[ -n $made ]]
}

adopt_programs() {
    local suite=$1 made=$2
    has_programs "$made" || {
        say "the programs of $suite do not run on this host"
        return 1
    }
    rm -rf "${ENGINE_HOME:?}/programs/$suite"
    mkdir -p "$ENGINE_HOME/programs"
    mv "$made" "$ENGINE_HOME/programs/$suite"
}

# Sets BIN. A running engine keeps the programs that it was started with.
find_or_make_programs() {
    local suite
    if is_daemon_up && [[ -s $STATE/programs ]] && has_programs "$(<"$STATE/programs")"; then
        BIN=$(<"$STATE/programs")/bin
        return 0
    fi
    for suite in $ENGINE_SUITES; do
        BIN=$ENGINE_HOME/programs/$suite/bin
        has_programs "${BIN%/bin}" && return 0
        make_programs "$suite" && return 0
    done
    give_up "no suite of '$ENGINE_SUITES' gave an engine; what apt said is in $ENGINE_HOME/download-*.log"
}

# --- the registry --------------------------------------------------------------------------------------------------

# In a shell of its own, which a refused connection ends.
answers_as_registry() (
    exec 8<>"/dev/tcp/127.0.0.1/$REGISTRY_PORT"
    printf 'GET /v2/ HTTP/1.0\r\n\r\n' >&8
    read -r -t 2 line <&8
    [[ $line == *" 200 "* ]]
) 2>/dev/null

start_registry() {
    local config=$ENGINE_HOME/registry-$REGISTRY_PORT.yml pid_file=$ENGINE_HOME/registry-$REGISTRY_PORT.pid
    [[ $REGISTRY_PORT != 0 ]] || return 0
    printf '%s\n' "$REGISTRY_PORT" >"$STATE/registry-port"
    ! is_running "$pid_file" "$config" || return 0
    ! answers_as_registry || return 0
    mkdir -p "$ENGINE_HOME/registry"
    cat >"$config" <<YAML
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: "$ENGINE_HOME/registry"}
  delete: {enabled: true}
http: {addr: "127.0.0.1:$REGISTRY_PORT"}
YAML
    launch "$ENGINE_HOME/registry.log" "$BIN/docker-registry" serve "$config"
    printf '%s' $! >"$pid_file"
    wait_for 10 answers_as_registry ||
        give_up "the registry does not start on 127.0.0.1:$REGISTRY_PORT: $(tail -n 1 "$ENGINE_HOME/registry.log")"
}

# Engines that name the same port share one registry: it goes with the last of them.
stop_registry() {
    local port state
    [[ -s $STATE/registry-port ]] || return 0
    port=$(<"$STATE/registry-port")
    rm -f "$STATE/registry-port"
    for state in "$ENGINE_HOME"/engines/*; do
        is_running "$state/dockerd.pid" "$state/daemon.json" || continue
        # Without the file it was started by a release that had none: by default on 5000.
        [[ $(cat "$state/registry-port" 2>/dev/null || echo 5000) != "$port" ]] || return 0
    done
    end_process "$ENGINE_HOME/registry-$port.pid" "$ENGINE_HOME/registry-$port.yml"
    rm -f "$ENGINE_HOME/registry-$port.yml"
}

# --- the network ---------------------------------------------------------------------------------------------------

# Each engine has a bridge, an address range and NAT rules of its own, and dockerd leaves iptables alone: a starting dockerd
# rewrites the DOCKER* chains of a running one, and one started with --bridge deletes docker0.

network_number() {
    local number
    if [[ -s $STATE/network ]]; then
        cat "$STATE/network"
        return
    fi
    number=$(($(printf %s "$ENGINE_NAME" | cksum | cut -d' ' -f1) % 40 + 200))
    while ip -4 route | grep -q "^10\.$number\." || grep -qsx "$number" "$ENGINE_HOME"/engines/*/network; do
        number=$((number + 1))
    done
    printf '%s\n' "$number" | tee "$STATE/network"
}

start_network() {
    local bridge=$1 range=$2 gateway=$3
    if ! ip link show "$bridge" >/dev/null 2>&1; then
        ip link add "$bridge" type bridge || give_up "the network bridge $bridge cannot be made"
        ip addr add "$gateway/24" dev "$bridge"
    fi
    ip link set "$bridge" mtu "$(default_mtu)" up
    printf 1 >/proc/sys/net/ipv4/ip_forward
    ensure_rule nat POSTROUTING -s "$range" ! -d "$range" -j MASQUERADE
    ensure_rule filter FORWARD -s "$range" -j ACCEPT
    ensure_rule filter FORWARD -d "$range" -j ACCEPT
}

ensure_rule() {
    local table=$1
    shift
    iptables -w -t "$table" -C "$@" 2>/dev/null || iptables -w -t "$table" -I "$@" || give_up "iptables refuses a rule: $*"
}

stop_network() {
    local number range
    [[ -s $STATE/network ]] || return 0
    number=$(<"$STATE/network") range=10.$number.0.0/16
    {
        iptables -w -t nat -D POSTROUTING -s "$range" ! -d "$range" -j MASQUERADE
        iptables -w -t filter -D FORWARD -s "$range" -j ACCEPT
        iptables -w -t filter -D FORWARD -d "$range" -j ACCEPT
        ip link del "cudaforge$number"
    } 2>/dev/null || true
    rm -f "$STATE/network"
}

# Tunnelled hosts have less than 1500, and larger packets vanish there without a word.
default_mtu() {
    local device
    device=$(ip -4 route show default | awk '{for (i = 1; i < NF; i++) if ($i == "dev") {print $(i + 1); exit}}')
    awk '{print ($1 > 1500) ? 1500 : $1}' "/sys/class/net/${device:-lo}/mtu"
}

# --- the daemon ----------------------------------------------------------------------------------------------------

write_daemon_config() {
    local number=$1 runtimes=
    [[ -z $NVIDIA_DIR ]] || runtimes="\"runtimes\": {\"nvidia\": {\"path\": \"$NVIDIA_DIR/nvidia-container-runtime\"}},"
    cat >"$STATE/daemon.json" <<JSON
{
  "features": {"containerd-snapshotter": true, "cdi": true},
  "cdi-spec-dirs": ["$CDI_DIR"],
  "data-root": "$STATE/data",
  "exec-root": "$STATE/exec",
  "pidfile": "$STATE/dockerd.pid",
  "hosts": ["unix://$SOCKET"],
  "bridge": "cudaforge$number",
  "mtu": $(default_mtu),
  "iptables": false,
  "ip6tables": false,
  "default-address-pools": [{"base": "10.$number.128.0/17", "size": 24}],
  $runtimes
  "builder": {"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}
}
JSON
}

is_daemon_up() { is_running "$STATE/dockerd.pid" "$STATE/daemon.json"; }

daemon_answers() { DOCKER_HOST=unix://$SOCKET ask_docker version; }

# After kill -9 dockerd's containerd lives on and is taken over. If it is gone its pid file must go as well: dockerd would
# otherwise wait for whatever process has that number now.
clear_stale_state() {
    local containerd=$STATE/exec/containerd
    is_running "$containerd/containerd.pid" "$containerd/containerd.toml" || rm -f "$containerd/containerd.pid"
    rm -f "$STATE/dockerd.pid" "$SOCKET"
}

start_daemon() {
    local number
    if is_daemon_up; then
        ! daemon_answers >/dev/null || return 0
        say "the running engine does not answer: starting it anew"
        end_process "$STATE/dockerd.pid" "$STATE/daemon.json"
    fi
    clear_stale_state
    number=$(network_number)
    start_network "cudaforge$number" "10.$number.0.0/16" "10.$number.0.1"
    mkdir -p "$CDI_DIR"
    write_daemon_config "$number"
    printf '%s' "${BIN%/bin}" >"$STATE/programs"
    PATH=${NVIDIA_DIR:+$NVIDIA_DIR:}$PATH launch "$STATE/dockerd.log" "$BIN/dockerd" --config-file "$STATE/daemon.json"
    wait_for_daemon $! || give_up "dockerd does not start: $(tail -n 3 "$STATE/dockerd.log")"
}

wait_for_daemon() {
    local pid=$1 end=$((SECONDS + 60))
    while ((SECONDS < end)) && kill -0 "$pid" 2>/dev/null; do
        [[ ! -S $SOCKET ]] || ! daemon_answers >/dev/null || return 0
        sleep 0.1
    done
    return 1
}

unmount_leftovers() {
    awk -v root="$STATE/" 'index($2, root) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n 1 umount -l 2>/dev/null || true
}

# --- commands ------------------------------------------------------------------------------------------------------

export_line() { printf 'export %s=%q\n' "$1" "$2"; }

print_exports() {
    export_line DOCKER_HOST "unix://$SOCKET"
    export_line DOCKER_CONFIG "$CLIENT_CONFIG"
    export_line CUDAFORGE_ENGINE_CDI_DIR "$CDI_DIR"
    [[ $REGISTRY_PORT == 0 ]] || export_line CUDAFORGE_ENGINE_REGISTRY "localhost:$REGISTRY_PORT"
    # shellcheck disable=SC2016  # the caller's shell expands it
    [[ $ORIGINAL_PATH == "$BIN:"* ]] || printf 'export PATH=%q:"$PATH"\n' "$BIN"
}

# Three starts at once make one engine: the others wait here, then find it.
take_lock() {
    mkdir -p "$STATE" || give_up "$STATE cannot be made"
    exec 9>"$ENGINE_HOME/lock"
    flock --timeout 300 9 || give_up "another tools/engine.sh has held $ENGINE_HOME/lock for five minutes"
}

use_client() {
    # One for each set of programs: engines of several suites run side by side, each with its own buildx.
    CLIENT_CONFIG=$ENGINE_HOME/client-$(basename "${BIN%/bin}")
    mkdir -p "$CLIENT_CONFIG/cli-plugins"
    ln -sfn "$BIN/docker-buildx" "$CLIENT_CONFIG/cli-plugins/docker-buildx"
    [[ -e $CLIENT_CONFIG/config.json ]] || printf '{}\n' >"$CLIENT_CONFIG/config.json"
    export PATH=$BIN:$PATH DOCKER_CONFIG=$CLIENT_CONFIG
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
}

start() {
    if may_use_reachable_engine && is_reachable_engine_usable; then
        return 0
    fi
    check_host
    ORIGINAL_PATH=$PATH
    # An engine that is up needs no lock: nobody waits here for someone else's download.
    if is_engine_complete; then
        use_client
        print_exports
        return 0
    fi
    take_lock
    install_host_packages
    find_or_make_programs
    use_client
    start_registry
    start_daemon
    say "Docker $(DOCKER_HOST=unix://$SOCKET server_version) at $SOCKET"
    print_exports
}

is_engine_complete() {
    is_daemon_up && [[ -s $STATE/programs ]] || return 1
    BIN=$(<"$STATE/programs")/bin
    [[ -x $BIN/docker ]] && PATH=$BIN:$PATH daemon_answers >/dev/null || return 1
    [[ $REGISTRY_PORT == 0 ]] || answers_as_registry
}

stop() {
    check_host
    take_lock
    end_process "$STATE/dockerd.pid" "$STATE/daemon.json"
    end_process "$STATE/exec/containerd/containerd.pid" "$STATE/exec/containerd/containerd.toml"
    unmount_leftovers
    stop_network
    stop_registry
}

status() {
    if may_use_reachable_engine && is_reachable_engine_usable; then
        echo "up: the reachable engine"
    elif is_daemon_up; then
        echo "up: $SOCKET"
    else
        echo "down"
        return 1
    fi
}

check_settings
case ${1:-start} in
    start) start ;;
    stop) stop ;;
    restart) stop && start ;;
    status) status ;;
    *)
        say "usage: tools/engine.sh [start|stop|restart|status]"
        exit 2
        ;;
esac
