#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# log-analyzer against awk and grep: the same counts, whatever the slices, the workers, the method.
#
#     test_log_analyzer.sh LOG_ANALYZER MAKE_LOG
set -euo pipefail
analyzer=$1 make_log=$2
command -v jq >/dev/null || { echo "jq is missing"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
log=$folder/access.log
checks=0

same() { # EXPECTED ACTUAL WHAT
	checks=$((checks + 1))
	[ "$1" = "$2" ] && return
	echo "not so: $3"
	diff <(echo "$1") <(echo "$2") | head -n 20
	exit 1
}

"$make_log" 3000000 "$log" >/dev/null
sed -i '$d' "$log"          # its last line is cut
printf 'no request at all\n' >>"$log"
printf '10.9.9.9 - - [02/Jan/2026:00:00:00 +0100] "GET /last HTTP/1.1" 299 5 "-" "x"' >>"$log"

lines=$(awk 'END { print NR }' "$log")
by_status=$(awk 'NF > 8 { count[$9]++ } END { for (s in count) print count[s], s }' "$log" |
	sort -k1,1nr -k2,2)
by_client=$(awk 'NF > 8 { count[$1]++ } END { for (s in count) print count[s], s }' "$log" |
	LC_ALL=C sort -k1,1nr -k2,2 | awk "NR <= 20")
# The hour is UTC: the last line's is one earlier than it says.
by_time=$(awk 'NF > 8 && $4 !~ /02.Jan/ { count[substr($4, 2, 17)]++ }
	END { for (s in count) print count[s] }' "$log" | sort -nr; echo 1)

for method in map stream whole; do
	for slice in 700 4096 65536 16777216; do
		[ "$method" != whole ] || [ "$slice" -gt 700 ] || continue
		out=$("$analyzer" "$log" --by status --by client --top 20 --bucket 1m --json \
			--slice "$slice" --workers 3 --method "$method")
		what="$method in slices of $slice"
		same "$lines" "$(jq .lines <<<"$out")" "$what: every line once"
		same 1 "$(jq .unknown <<<"$out")" "$what: one line is of another format"
		same "$by_status" "$(jq -r '.by.status.top[] | "\(.count) \(.value)"' <<<"$out")" \
			"$what: by status"
		same "$by_client" "$(jq -r '.by.client.top[] | "\(.count) \(.value)"' <<<"$out")" \
			"$what: by client"
		same "$(sort -n <<<"$by_time")" "$(jq -r '.times[].count' <<<"$out" | sort -n)" \
			"$what: over time"
	done
done
same "2026-01-01T23:00:00Z" "$(jq -r '.times[-1].time' <<<"$out")" "the zone is taken off"


# A pipe; the format has to be said, for its first lines are not there to be looked at twice.
out=$(cat "$log" | "$analyzer" --format access --by status --json --top 20)
same "$by_status" "$(jq -r '.by.status.top[] | "\(.count) \(.value)"' <<<"$out")" "from a pipe"

for slice in 64 5000 16777216; do
	same "$(grep -cF /svc07/ "$log")" \
		"$("$analyzer" "$log" --count /svc07/ --slice "$slice" --json | jq .hits)" \
		"lines with a text, in slices of $slice"
done

# Named groups.
out=$("$analyzer" "$log" --regex '"(?<verb>\S+) /(?<service>svc\d+)/item/(?<item>\d+)' --by service \
	--top 200 --bucket 0 --json --slice 5000)
same "$(grep -oE 'GET /svc[0-9]+' "$log" | cut -d/ -f2 | sort | uniq -c | awk '{ print $1, $2 }' |
	LC_ALL=C sort -k1,1nr -k2,2)" \
	"$(jq -r '.by.service.top[] | "\(.count) \(.value)"' <<<"$out")" "by a named group"

# The other formats.
cat >"$folder/syslog" <<'END'
Jan  3 04:05:06 host kernel: [    0.1] starting
Jan  3 04:05:07 host sshd[812]: Accepted publickey for root
2026-01-03T05:00:00.123456+01:00 host sshd[813]: Accepted publickey for root
END
out=$("$analyzer" "$folder/syslog" --by program --year 2026 --json)
same 'syslog 2 sshd 1 kernel' \
	"$(jq -r '[.format, (.by.program.top[] | .count, .value)] | map(tostring) | join(" ")' <<<"$out")" \
	"syslog, recognised"
same '2026-01-03T04:00:00Z 3' "$(jq -r '.times[] | "\(.time) \(.count)"' <<<"$out")" \
	"both ways to write the time"
cat >"$folder/dpkg.log" <<'END'
2026-02-03 04:05:06 startup archives unpack
2026-02-03 04:05:06 install bash:amd64 <none> 5.2-1
2026-02-03 04:05:07 status half-installed bash:amd64 5.2-1
2026-02-03 04:05:08 status installed bash:amd64 5.2-1
END
out=$("$analyzer" "$folder/dpkg.log" --by action --by package --json)
same 'install startup status half-installed status installed' \
	"$(jq -r '.by.action.top | map(.value) | join(" ")' <<<"$out")" "dpkg.log: actions"
same '3 bash:amd64' "$(jq -r '.by.package.top[0] | "\(.count) \(.value)"' <<<"$out")" \
	"dpkg.log: packages"

# No place for all keys: what is left over is counted, and said.
out=$("$analyzer" "$log" --by client --max-keys 10 --workers 1 --top 100 --json)
same "$((lines - 1))" "$(jq '.by.client | .other + ([.top[].count] | add)' <<<"$out")" \
	"kept and other values are all lines"
same 10 "$(jq '.by.client.different' <<<"$out")" "ten values are kept"

# Mistakes, and a chart.
for wrong in "--by nonsense" "--format nonsense" "--regex (" "--regex x" "--top 0" "--bucket x"; do
	checks=$((checks + 1))
	# shellcheck disable=SC2086
	if "$analyzer" "$log" $wrong >/dev/null 2>"$folder/err"; then
		echo "not so: $wrong is refused"; exit 1
	fi
	grep -q '^log-analyzer: ' "$folder/err"
done
if "$analyzer" "$folder/missing" 2>/dev/null; then echo "not so: a missing file fails"; exit 1; fi
if out=$("$analyzer" "$folder" 2>&1) || [[ "$out" != *'Is a directory'* ]]; then
	echo "not so: a folder fails, and is called one: $out"
	exit 1
fi
if command -v gnuplot >/dev/null; then
	"$analyzer" "$log" --bucket 1m --chart "$folder/chart.svg" >/dev/null
	grep -q '<svg' "$folder/chart.svg"
else
	echo "no gnuplot: the chart is not tried"
fi
echo "$checks checks"
