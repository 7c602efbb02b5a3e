# Sourced by .ci/run and .ci/long.

step() { # TITLE COMMAND...: runs the command and prints its title and its time
  local title=$1 start=$SECONDS
  shift
  printf '\n=== %s\n' "$title"
  "$@"
  printf '=== %s: %d s\n' "$title" $((SECONDS - start))
}
