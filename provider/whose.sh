# Says by which cell a machine is taken, "whose: SERVICE NAME", if it is by any.
# Arguments: the program to ask.
[ -x "$1" ] || exit 0
said=$("$1" machine claim) || exit
printf '%s\n' "$said" | sed -n 's/^{"service":"\([^"]*\)","name":"\([^"]*\)".*/whose: \1 \2/p'
