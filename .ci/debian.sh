# Sourced by the scripts that download Debian packages. It uses apt with separate sources, lists and status. The mirror
# is the one in the apt configuration of this machine; signatures are checked with its Debian keyring.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# All URIs in the apt sources, in both formats.
uris() {
  local files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources)
  local file
  for file in "${files[@]}"; do
    [ -f "$file" ] || continue
    awk '/^URIs:/ { for (i = 2; i <= NF; i++) print $i }
         /^deb /  { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; break } }' "$file"
  done | sed 's,/*$,,' | sort -u
}

mirror_of() { # ARCHIVE: the first URI that ends in it
  local found
  found=$(uris | awk -v end="/$1" 'substr($0, length($0) - length(end) + 1) == end && !n++')
  [ -n "$found" ] || { echo "peers: no mirror of /$1 in this machine's apt sources" >&2; return 1; }
  printf '%s\n' "$found"
}

# Configures apt with separate sources, lists and status. Of this machine's settings it keeps those for downloads
# (proxies, and date checks that a snapshot mirror requires to relax). The machine's hooks must not run, because they
# clean up the machine's own apt.
configure_apt() { # APT-DIRECTORY
  mkdir -p "$1"/{state/lists/partial,cache/archives/partial}
  : >"$1/status"
  {
    apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets'
    cat <<CONFIG
#clear Acquire::Languages;
Acquire::Languages "none";
Acquire::Retries "3";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::Cache "$1/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "$1/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$1/state";
Dir::State::status "$1/status";
CONFIG
  } >"$1/apt.conf"
}

sources() { # APT-DIRECTORY SUITE...: sets up apt in there for these suites, and fetches their lists
  local apt=$1 suite
  shift
  configure_apt "$apt"
  for suite; do
    printf 'deb [signed-by=%s] %s\n' "$keyring" "$(mirror_of debian) $suite main"
    if [ "$suite" != sid ]; then # sid has no separate security updates
      printf 'deb [signed-by=%s] %s\n' "$keyring" "$(mirror_of debian-security) $suite-security main"
    fi
  done >"$apt/sources.list"
  APT_CONFIG=$apt/apt.conf apt-get -qq update
}
